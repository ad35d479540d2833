/* ref_move.c - moving numbers without much arithmetic: zero, copy, add, rows by index, embedding. */
#include "tensor/ref/ref.h"

void ref_zero(struct stream *s, struct tensor x) {
    if (s->failed) return;
    size_t size = dtype_size(x.dtype); /* of any type: zero is all bits 0 */
    for (int64_t r = 0; r < x.rows; r++) memset(tensor_rows(x, r, 1).data, 0, (size_t)x.cols * size);
}

/* dst[dst_row] = src[src_row], converted to the type of dst. */
static void row_set(struct tensor dst, int64_t dst_row, struct tensor src, int64_t src_row) {
    for (int64_t c = 0; c < src.cols; c++) ref_store(dst, dst_row, c, ref_load(src, src_row, c));
}

/* dst[dst_row] += scale * src[src_row] */
static void row_add(struct tensor dst, int64_t dst_row, double scale, struct tensor src, int64_t src_row) {
    for (int64_t c = 0; c < src.cols; c++) ref_add(dst, dst_row, c, scale * ref_load(src, src_row, c));
}

void ref_copy(struct stream *s, struct tensor dst, struct tensor src) {
    if (s->failed) return;
    for (int64_t r = 0; r < src.rows; r++) row_set(dst, r, src, r);
}

void ref_add_tensor(struct stream *s, struct tensor dst, struct tensor src) {
    if (s->failed) return;
    for (int64_t r = 0; r < src.rows; r++) row_add(dst, r, 1, src, r);
}

void ref_gather_rows(struct stream *s, struct tensor out, struct tensor x, struct tensor rows) {
    for (int64_t i = 0; i < out.rows && !s->failed; i++) {
        int64_t row = ref_index(s, rows, i, x.rows, "gathered row");
        if (row >= 0) row_set(out, i, x, row);
    }
}

void ref_scatter_add_rows(struct stream *s, struct tensor x, struct tensor y, struct tensor rows) {
    for (int64_t i = 0; i < y.rows && !s->failed; i++) {
        int64_t row = ref_index(s, rows, i, x.rows, "scattered row");
        if (row >= 0) row_add(x, row, 1, y, i);
    }
}

void ref_embedding_forward(struct stream *s, struct tensor out, struct tensor table, float scale, struct tensor tokens,
                           struct tensor position_table, struct tensor positions) {
    bool placed = tensor_present(position_table);
    for (int64_t i = 0; i < out.rows && !s->failed; i++) {
        int64_t token = ref_index(s, tokens, i, table.rows, "token");
        int64_t position = placed ? ref_index(s, positions, i, position_table.rows, "position of token") : 0;
        if (token < 0 || position < 0) return;
        for (int64_t c = 0; c < out.cols; c++)
            ref_store(out, i, c,
                      (double)scale * ref_load(table, token, c) + (placed ? ref_load(position_table, position, c) : 0));
    }
}

void ref_embedding_backward(struct stream *s, struct tensor d_table, float scale, struct tensor tokens,
                            struct tensor d_position_table, struct tensor positions, struct tensor d_out) {
    for (int64_t i = 0; i < d_out.rows && !s->failed; i++) {
        int64_t token = ref_index(s, tokens, i, d_table.rows, "token");
        if (token < 0) return;
        row_add(d_table, token, (double)scale, d_out, i);
        if (!tensor_present(d_position_table)) continue;
        int64_t position = ref_index(s, positions, i, d_position_table.rows, "position of token");
        if (position >= 0) row_add(d_position_table, position, 1, d_out, i);
    }
}
