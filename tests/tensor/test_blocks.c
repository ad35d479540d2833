/* Number types of ggml's files: what gguf-py makes of blocks of random bits (tests/golden/blocks/make_goldens.py), to
 * the bit. */
#include "tensor/blocks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file/safetensors.h"
#include "support/cmocka_all.h"

#define GOLDEN TEST_DIR "/golden/blocks/blocks.safetensors"

enum { TYPES = 64 }; /* more numbers than ggml has given out */

static const struct safetensor *find(const struct safetensors *st, const struct block_type *type, const char *part) {
    char name[64];
    snprintf(name, sizeof name, "%s.%s", type->name, part);
    return safetensors_find(st, name);
}

static void assert_same_bits(const struct block_type *type, const struct safetensor *blocks,
                             const struct safetensor *floats) {
    size_t n_blocks = blocks->n_bytes / type->bytes, n = n_blocks * type->elements;
    assert_int_equal(blocks->n_bytes, n_blocks * type->bytes);
    assert_int_equal(floats->n_elements, n);
    assert_true(n_blocks > 3);
    float *out = malloc(n * sizeof *out);
    char *unaligned = malloc(blocks->n_bytes + 1); /* as they may lie in a file; and nothing past its end is read */
    assert_true(out && unaligned);
    memcpy(unaligned + 1, blocks->data, blocks->n_bytes);
    blocks_unpack(type, unaligned + 1, n_blocks, out);
    for (size_t i = 0; i < n; i++) {
        uint32_t got, expected;
        memcpy(&got, &out[i], sizeof got);
        memcpy(&expected, (const char *)floats->data + 4 * i, sizeof expected);
        if (got != expected)
            fail_msg("%s: number %zu is %08x (%g), expected %08x", type->name, i, (unsigned)got, (double)out[i],
                     (unsigned)expected);
    }
    free(unaligned);
    free(out);
}

static void blocks_are_unpacked_as_by_ggml(void **state) {
    (void)state;
    struct safetensors *st = safetensors_open(GOLDEN, NULL);
    size_t n_compared = 0;
    assert_non_null(st);
    for (uint32_t number = 0; number < TYPES; number++) {
        const struct block_type *type = block_type_of(number);
        const struct safetensor *blocks = type ? find(st, type, "blocks") : NULL;
        if (!blocks) continue;
        assert_non_null(type->unpack);
        assert_same_bits(type, blocks, find(st, type, "floats"));
        n_compared++;
    }
    assert_int_equal(n_compared, safetensors_count(st) / 2);
    safetensors_close(st);
}

static void plain_types_are_numbers(void **state) {
    (void)state;
    const float x = -1.2345678f;
    const double wide = 3.00000001;
    float out;
    blocks_unpack(block_type_of(BLOCK_F32), &x, 1, &out);
    assert_memory_equal(&out, &x, sizeof x);
    blocks_unpack(block_type_of(BLOCK_F64), &wide, 1, &out);
    assert_true(out == 3.0f);
}

static void types_that_ggml_has_given_up_are_none(void **state) {
    (void)state;
    static const uint32_t gone[] = {4, 5, 31, 32, 33, 36, 37, 38, 1000, UINT32_MAX};
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) assert_null(block_type_of(gone[i]));
    for (uint32_t number = 0; number < TYPES; number++) {
        const struct block_type *type = block_type_of(number);
        if (type) assert_in_range(type->elements, 1, BLOCK_MAX_ELEMENTS);
    }
    assert_null(block_type_of(16)->unpack);
    assert_string_equal(block_type_of(16)->name, "IQ2_XXS");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_unpacked_as_by_ggml),
        cmocka_unit_test(plain_types_are_numbers),
        cmocka_unit_test(types_that_ggml_has_given_up_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
