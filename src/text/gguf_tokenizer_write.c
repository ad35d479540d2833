/* gguf_tokenizer_write.c - a tokenizer as metadata of a GGUF file: tokenizer.ggml.* as llama.cpp reads them. What these
 * keys cannot say is refused by name: a file that is read as another tokenizer is worse than none. */
#include <stdlib.h>
#include <string.h>

#include "text/gguf_pre.h"

#define UNMERGED_SCORE (-1e9f)

/* ==== what GGUF cannot say ==================================================================== */

static bool check_added(const struct tokenizer *tok, struct talc_error *err) {
    for (size_t i = 0; i < tok->added.n_tokens; i++) {
        const struct added_token *t = &tok->added.tokens[i];
        const char *rule = t->lstrip ? "lstrip" : t->rstrip ? "rstrip" : t->single_word ? "single_word" : NULL;
        if (rule) return talc_fail(err, "the added token \"%s\" has %s, which GGUF cannot say", t->text, rule);
    }
    return true;
}

/* SentencePiece: a charsmap, then whether a space goes before a text; no other treatment is known to readers. */
static bool space_treatment(const struct tokenizer *tok, struct sentencepiece_treatment *t, struct talc_error *err) {
    const struct normalizer *normalizer = &tok->normalizer;
    int n = 0;
    if (n < normalizer->n_steps && normalizer->steps[n].kind == NORMALIZER_CHARSMAP) {
        const struct normalizer_step *step = &normalizer->steps[n++];
        t->collapse = step->collapse;
        t->charsmap = step->charsmap ? step->charsmap->bytes : NULL;
        t->n_charsmap = step->charsmap ? step->charsmap->n_bytes : 0;
    }
    t->prefix = tok->prefix_space == PREFIX_ALWAYS;
    if (n < normalizer->n_steps && normalizer->steps[n].kind == NORMALIZER_PREPEND &&
        strcmp(normalizer->steps[n].with, " ") == 0) {
        t->prefix = true;
        n++;
    }
    if (n < normalizer->n_steps) return talc_fail(err, "GGUF cannot say this tokenizer's normalizer");
    if (tok->prefix_space == PREFIX_FIRST)
        return talc_fail(err,
                         "GGUF cannot say that a space goes before the whole text only (prepend_scheme \"first\")");
    if (tok->split.n_steps || tok->bpe.whole_words)
        return talc_fail(err, "GGUF cannot say this tokenizer's %s",
                         tok->split.n_steps ? "pre_tokenizer" : "ignore_merges");
    return true;
}

static bool byte_treatment(const struct tokenizer *tok, char *pre, struct talc_error *err) {
    if (tok->prefix_space != PREFIX_NONE)
        return talc_fail(err, "GGUF cannot say that a space goes before text (add_prefix_space)");
    return gguf_pre_of(tok, pre, err);
}

/* ==== tokens ================================================================================== */

static enum piece_type type_of(const struct tokenizer *tok, int32_t id) {
    static const enum piece_type types[] = {
        [TOKEN_ABSENT] = PIECE_UNUSED,      [TOKEN_TEXT] = PIECE_NORMAL,     [TOKEN_UNUSABLE] = PIECE_UNUSED,
        [TOKEN_ADDED] = PIECE_USER_DEFINED, [TOKEN_SPECIAL] = PIECE_CONTROL, [TOKEN_BYTE] = PIECE_BYTE,
    };
    return id == tok->unknown_id ? PIECE_UNKNOWN : types[tok->vocabulary.tokens[id].kind];
}

static bool put_tokens(const struct tokenizer *tok, struct gguf_writer *w, struct talc_error *err) {
    const struct vocabulary *v = &tok->vocabulary;
    struct buffer text = {0};
    int32_t *types = malloc(((size_t)v->size + 1) * sizeof *types);
    bool ok = types;
    gguf_put_strings(w, "tokenizer.ggml.tokens", (size_t)v->size);
    for (int32_t id = 0; ok && id < v->size; id++) {
        types[id] = type_of(tok, id);
        if (v->tokens[id].kind == TOKEN_ABSENT) { /* readers want a name for each id */
            buffer_clear(&text);
            buffer_printf(&text, "[PAD%d]", (int)id);
            ok = buffer_ok(&text);
        } else {
            ok = tokenizer_written_form(tok, &v->tokens[id], &text) != NULL;
        }
        if (ok) gguf_add_string(w, text.data, text.length);
    }
    if (ok) gguf_put_i32s(w, "tokenizer.ggml.token_type", types, (size_t)v->size);
    free(types);
    buffer_free(&text);
    return ok || talc_fail(err, "out of memory for the vocabulary");
}

static bool put_merges(const struct tokenizer *tok, struct gguf_writer *w, struct talc_error *err) {
    struct buffer line = {0}, part = {0};
    bool ok = true;
    gguf_put_strings(w, "tokenizer.ggml.merges", tok->bpe.n_merges);
    for (size_t i = 0; ok && i < tok->bpe.n_merges; i++) {
        ok = tokenizer_written_merge(tok, &tok->bpe.merges[i], &part, &line);
        if (ok) gguf_add_string(w, line.data, line.length);
    }
    buffer_free(&line);
    buffer_free(&part);
    return ok || talc_fail(err, "out of memory for merges");
}

/* Readers merge what makes the token of the highest score, the leftmost first: so merges of one token must be
 * neighbours in their order. */
static bool scores_of_merges(const struct tokenizer *tok, float *scores, struct talc_error *err) {
    for (int32_t id = 0; id < tok->vocabulary.size; id++) scores[id] = UNMERGED_SCORE;
    int32_t last = -1, place = 0;
    for (size_t i = 0; i < tok->bpe.n_merges; i++) {
        int32_t id = tok->bpe.merges[i].result;
        if (id == last) continue;
        if (scores[id] != UNMERGED_SCORE)
            return talc_fail(
                err, "GGUF has one score a token, but the merges that make token %d come at different places", (int)id);
        scores[id] = (float)-place++;
        last = id;
    }
    return true;
}

static bool put_scores(const struct tokenizer *tok, struct gguf_writer *w, struct talc_error *err) {
    size_t n = (size_t)tok->vocabulary.size;
    float *scores = malloc((n + 1) * sizeof *scores);
    if (!scores) return talc_fail(err, "out of memory for scores");
    bool ok = true;
    for (size_t i = 0; tok->scores && i < n; i++) scores[i] = (float)tok->scores[i];
    if (!tok->scores) ok = scores_of_merges(tok, scores, err);
    if (ok) gguf_put_f32s(w, "tokenizer.ggml.scores", scores, n);
    free(scores);
    return ok;
}

/* ==== the whole =============================================================================== */

static void put_role(struct gguf_writer *w, const char *key, int32_t id) {
    if (id >= 0) gguf_put_u32(w, key, (uint32_t)id);
}

static void put_roles(const struct tokenizer *tok, const char *chat_template, struct gguf_writer *w) {
    /* what ends a turn beside the end of text; but what is put behind every text is eos */
    bool has_turns = !tok->add_eos && tok->end_of_text_id >= 0 && tok->end_of_text_id != tok->eos_id;
    put_role(w, "tokenizer.ggml.bos_token_id", tok->bos_id);
    put_role(w, "tokenizer.ggml.eos_token_id", has_turns ? tok->end_of_text_id : tok->eos_id);
    if (has_turns) put_role(w, "tokenizer.ggml.eot_token_id", tok->eos_id);
    put_role(w, "tokenizer.ggml.unknown_token_id", tok->unknown_id);
    put_role(w, "tokenizer.ggml.padding_token_id", tok->pad_id);
    gguf_put_bool(w, "tokenizer.ggml.add_bos_token", tokenizer_adds_bos(tok));
    gguf_put_bool(w, "tokenizer.ggml.add_eos_token", tokenizer_adds_eos(tok));
    if (!chat_template) chat_template = tok->chat_template;
    if (chat_template) gguf_put_text(w, "tokenizer.chat_template", chat_template);
}

bool tokenizer_put_gguf(const struct tokenizer *tok, const char *chat_template, struct gguf_writer *w,
                        struct talc_error *err) {
    char pre[64] = "default";
    bool spaces = tokenizer_marks_spaces(tok);
    struct sentencepiece_treatment t = {0};
    if (tok->type == TOKENIZER_CHARACTER) return talc_fail(err, "GGUF has no tokenizer of characters");
    if (tok->type == TOKENIZER_WORDPIECE) return talc_fail(err, "a WordPiece tokenizer is not written as GGUF");
    if (!check_added(tok, err) || !(spaces ? space_treatment(tok, &t, err) : byte_treatment(tok, pre, err)))
        return false;
    gguf_put_text(w, "tokenizer.ggml.model", !spaces ? "gpt2" : tok->type == TOKENIZER_UNIGRAM ? "t5" : "llama");
    gguf_put_text(w, "tokenizer.ggml.pre", pre);
    if (!put_tokens(tok, w, err) || !(spaces ? put_scores(tok, w, err) : put_merges(tok, w, err))) return false;
    if (spaces) {
        gguf_put_bool(w, "tokenizer.ggml.add_space_prefix", t.prefix);
        gguf_put_bool(w, "tokenizer.ggml.remove_extra_whitespaces", t.collapse);
        if (t.n_charsmap) gguf_put_u8s(w, "tokenizer.ggml.precompiled_charsmap", t.charsmap, t.n_charsmap);
    }
    put_roles(tok, chat_template, w);
    return buffer_ok(&w->values) || talc_fail(err, "out of memory for the tokenizer's metadata");
}

bool tokenizer_save_gguf(const struct tokenizer *tok, const char *path, struct talc_error *err) {
    struct gguf_writer w = {0};
    gguf_put_text(&w, "general.type", "model");
    gguf_put_text(&w, "general.architecture", "llama"); /* readers want one; there are no tensors */
    bool ok = tokenizer_put_gguf(tok, NULL, &w, err) && gguf_write_metadata(&w, path, err);
    buffer_free(&w.values);
    return ok;
}
