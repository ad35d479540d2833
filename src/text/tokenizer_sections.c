/* tokenizer_sections.c - the sections of tokenizer.json that say how text is treated: normalizer, pre_tokenizer,
 * post_processor, decoder. What is not supported exactly is refused by name: a tokenizer that is almost right gives a
 * model that is quietly wrong. Readers of other formats make these sections too (tokenizer_use_*), so that there is one
 * way in and one way out. */
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "file/json.h"
#include "text/tokenizer_parts.h"
#include "text/unicode.h"

#define SPACE_MARK "\xe2\x96\x81" /* U+2581 */
#define MAX_NESTING 8

static const char *type_of(const json_t *step) { return json_text(step, "type"); }

static bool is_type(const json_t *step, const char *type) { return strcmp(type_of(step), type) == 0; }

static bool has_type(const json_t *step, const char *list, const char *type, int depth) {
    const json_t *entry;
    size_t i;
    if (is_type(step, type)) return true;
    if (depth > MAX_NESTING) return false;
    json_array_foreach(json_object_get(step, list), i, entry) {
        if (has_type(entry, list, type, depth + 1)) return true;
    }
    return false;
}

/* ==== normalizer ============================================================================== */

static bool marks_spaces(const json_t *step, int depth) {
    const json_t *entry;
    size_t i;
    if (is_type(step, "Replace"))
        return strcmp(json_text(json_object_get(step, "pattern"), "String"), " ") == 0 &&
               strcmp(json_text(step, "content"), SPACE_MARK) == 0;
    json_array_foreach(json_object_get(step, "normalizers"), i, entry) {
        if (depth < MAX_NESTING && marks_spaces(entry, depth + 1)) return true;
    }
    return false;
}

/* A copy of text for a step. Texts of spaces hold a space where files hold U+2581. */
static char *step_text(const struct tokenizer *tok, const char *text) {
    struct buffer spaced = {0};
    if (!tokenizer_marks_spaces(tok) || tok->words_apart) return strdup(text);
    return space_text(text, strlen(text), &spaced) ? (spaced.data ? spaced.data : strdup("")) : NULL;
}

static bool add_replace(struct tokenizer *tok, const json_t *step, struct talc_error *err) {
    const json_t *pattern = json_object_get(step, "pattern");
    const char *text = json_text(pattern, "String"), *regex = json_text(pattern, "Regex");
    struct normalizer_step s = {.kind = *regex ? NORMALIZER_REPLACE_REGEX : NORMALIZER_REPLACE};
    if (tokenizer_marks_spaces(tok) && marks_spaces(step, 0)) return true;
    if (!*text && !*regex) return talc_fail(err, "normalizer Replace needs a pattern: a String or a Regex");
    s.with = step_text(tok, json_text(step, "content"));
    if (*regex && !(s.regex = regex_compile(regex, err))) {
        free(s.with);
        return false;
    }
    if (!*regex) s.what = step_text(tok, text);
    return normalizer_add(&tok->normalizer, s, err) &&
           ((s.with && (s.what || s.regex)) || talc_fail(err, "out of memory for a normalizer"));
}

static bool fail_without_utf8proc(const json_t *step, struct talc_error *err) {
    return talc_fail(err,
                     "the file asks for the normalizer %s, but this talc was built without utf8proc: install "
                     "libutf8proc-dev and build again",
                     type_of(step));
}

static bool add_simple_normalizer(struct tokenizer *tok, enum normalizer_kind kind, const json_t *step,
                                  struct talc_error *err) {
    struct normalizer_step s = {.kind = kind};
    if (!normalizer_available(kind)) return fail_without_utf8proc(step, err);
    if (kind == NORMALIZER_PREPEND && !(s.with = step_text(tok, json_text(step, "prepend"))))
        return talc_fail(err, "out of memory for a normalizer");
    return json_get_bool(step, "strip_left", true, &s.left, err) &&
           json_get_bool(step, "strip_right", true, &s.right, err) && normalizer_add(&tok->normalizer, s, err);
}

static bool add_precompiled(struct tokenizer *tok, const json_t *json, struct talc_error *err) {
    struct normalizer_step step = {.kind = NORMALIZER_PRECOMPILED};
    struct buffer bytes = {0};
    if (!normalizer_available(step.kind)) return fail_without_utf8proc(json, err);
    const char *rest = base64_decode(json_text(json, "precompiled_charsmap"), &bytes);
    bool ok = *rest ? talc_fail(err, "normalizer Precompiled: precompiled_charsmap is not base64")
                    : buffer_ok(&bytes) || talc_fail(err, "out of memory for a precompiled_charsmap");
    if (ok && bytes.length) ok = (step.charsmap = charsmap_new(bytes.data, bytes.length, err));
    buffer_free(&bytes);
    return ok && normalizer_add(&tok->normalizer, step, err);
}

/* strip_accents null: as lowercase says. */
static bool add_bert(struct tokenizer *tok, const json_t *json, struct talc_error *err) {
    struct normalizer_step step = {.kind = NORMALIZER_BERT};
    const json_t *accents = json_object_get(json, "strip_accents");
    if (!normalizer_available(step.kind)) return fail_without_utf8proc(json, err);
    if (!json_get_bool(json, "clean_text", true, &step.bert.clean, err) ||
        !json_get_bool(json, "handle_chinese_chars", true, &step.bert.chinese, err) ||
        !json_get_bool(json, "lowercase", true, &step.bert.lowercase, err))
        return false;
    step.bert.strip_accents = step.bert.lowercase;
    if (accents && !json_is_null(accents) &&
        !json_get_bool(json, "strip_accents", false, &step.bert.strip_accents, err))
        return false;
    return normalizer_add(&tok->normalizer, step, err);
}

static bool read_normalizer(struct tokenizer *tok, const json_t *step, int depth, struct talc_error *err) {
    static const struct {
        const char *type;
        enum normalizer_kind kind;
    } kinds[] = {{"NFC", NORMALIZER_NFC},
                 {"NFD", NORMALIZER_NFD},
                 {"NFKC", NORMALIZER_NFKC},
                 {"NFKD", NORMALIZER_NFKD},
                 {"Strip", NORMALIZER_STRIP},
                 {"Lowercase", NORMALIZER_LOWERCASE},
                 {"StripAccents", NORMALIZER_STRIP_ACCENTS},
                 {"Prepend", NORMALIZER_PREPEND}};
    const json_t *entry;
    size_t i;
    if (!step || json_is_null(step)) return true;
    if (is_type(step, "Sequence") && depth < MAX_NESTING) {
        json_array_foreach(json_object_get(step, "normalizers"), i, entry) {
            if (!read_normalizer(tok, entry, depth + 1, err)) return false;
        }
        return true;
    }
    if (is_type(step, "Replace")) return add_replace(tok, step, err);
    if (is_type(step, "Precompiled")) return add_precompiled(tok, step, err);
    if (is_type(step, "BertNormalizer")) return add_bert(tok, step, err);
    for (i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (is_type(step, kinds[i].type)) return add_simple_normalizer(tok, kinds[i].kind, step, err);
    return talc_fail(err, "normalizer \"%s\" is not supported", type_of(step));
}

/* ==== pre_tokenizer =========================================================================== */

static bool read_behavior(const json_t *step, const char *fallback, enum split_behavior *out, struct talc_error *err) {
    static const char *const names[] = {[SPLIT_ISOLATED] = "Isolated",
                                        [SPLIT_REMOVED] = "Removed",
                                        [SPLIT_CONTIGUOUS] = "Contiguous",
                                        [SPLIT_MERGED_WITH_PREVIOUS] = "MergedWithPrevious",
                                        [SPLIT_MERGED_WITH_NEXT] = "MergedWithNext"};
    const char *name = *json_text(step, "behavior") ? json_text(step, "behavior") : fallback;
    for (int i = 0; i < 5; i++) {
        *out = (enum split_behavior)i;
        if (strcmp(name, names[i]) == 0) return true;
    }
    return talc_fail(err, "pre_tokenizer %s: behavior \"%s\" is not supported", type_of(step), name);
}

static bool step_from_regex(const char *regex, struct split_step *step, struct talc_error *err) {
    static const struct {
        const char *regex;
        uint32_t max_run;
    } numbers[] = {{"\\p{N}", 1}, {"\\p{N}{1}", 1}, {"\\p{N}{1,3}", 3}, {"\\p{N}+", 0}};
    enum pretokenizer scanner;
    bool isolated = step->behavior == SPLIT_ISOLATED && !step->invert;
    bool only_matches = step->behavior == SPLIT_REMOVED && step->invert;
    if (pretokenizer_from_regex(regex, &scanner) && (isolated || (only_matches && pretokenizer_covers_text(scanner)))) {
        *step = (struct split_step){.kind = SPLIT_SCANNER, .scanner = scanner};
        return true;
    }
    if (isolated &&
        strcmp(regex, "[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]+") == 0) {
        step->kind = SPLIT_CJK;
        return true;
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (strcmp(regex, numbers[i].regex) != 0) continue;
        step->kind = SPLIT_CLASS;
        step->classes = UNICODE_NUMBER;
        step->max_run = numbers[i].max_run;
        return true;
    }
    step->kind = SPLIT_REGEX;
    step->regex = regex_compile(regex, err);
    step->text = step->regex ? strdup(regex) : NULL;
    return step->text || (step->regex && talc_fail(err, "out of memory for a pre_tokenizer"));
}

static bool add_split(struct tokenizer *tok, const json_t *json, bool byte_characters, struct talc_error *err) {
    const json_t *pattern = json_object_get(json, "pattern");
    const char *regex = json_text(pattern, "Regex"), *text = json_text(pattern, "String");
    struct split_step step = {.kind = SPLIT_TEXT};
    if (!*regex && !*text) return talc_fail(err, "pre_tokenizer Split needs a pattern: a String or a Regex");
    if (!json_get_bool(json, "invert", false, &step.invert, err) || !read_behavior(json, "", &step.behavior, err))
        return false;
    if (*regex && (tokenizer_marks_spaces(tok) || (byte_characters && strcmp(regex, "[0-9][0-9][0-9]") != 0)))
        return talc_fail(err, "pre_tokenizer Split by the Regex \"%.80s\" is not supported where it stands", regex);
    if (*regex && !step_from_regex(regex, &step, err)) {
        regex_free(step.regex);
        return false;
    }
    if (*regex) return split_add(&tok->split, step, err);
    /* there are no spaces left when the normalizer has made U+2581 of them */
    if (tokenizer_marks_spaces(tok) && strcmp(text, " ") == 0) return true;
    step.text = step_text(tok, text);
    return step.text ? split_add(&tok->split, step, err) : talc_fail(err, "out of memory for a pre_tokenizer");
}

static bool add_class(struct tokenizer *tok, struct split_step step, struct talc_error *err) {
    step.kind = SPLIT_CLASS;
    return split_add(&tok->split, step, err);
}

static bool add_digits(struct tokenizer *tok, const json_t *json, bool byte_characters, struct talc_error *err) {
    bool one_by_one;
    return json_get_bool(json, "individual_digits", false, &one_by_one, err) &&
           add_class(tok,
                     (struct split_step){
                         .classes = UNICODE_NUMBER, .max_run = one_by_one, .byte_characters = byte_characters},
                     err);
}

static bool add_punctuation(struct tokenizer *tok, const json_t *json, struct talc_error *err) {
    struct split_step step = {.classes = UNICODE_8_PUNCTUATION, .ascii_signs = true, .max_run = 1};
    if (!read_behavior(json, "Isolated", &step.behavior, err)) return false;
    return add_class(tok, step, err);
}

static bool add_byte_level(struct tokenizer *tok, const json_t *json, struct talc_error *err) {
    bool prefix, use_regex;
    if (!json_get_bool(json, "add_prefix_space", true, &prefix, err) ||
        !json_get_bool(json, "use_regex", true, &use_regex, err))
        return false;
    if (prefix && tok->split.n_steps > 0)
        return talc_fail(err, "pre_tokenizer ByteLevel asks for add_prefix_space behind another step, which is not "
                              "supported");
    if (prefix) tok->prefix_space = PREFIX_ALWAYS;
    struct split_step step = {.kind = SPLIT_SCANNER, .scanner = PRETOKENIZER_GPT2};
    return !use_regex || split_add(&tok->split, step, err);
}

/* The place of a space before a text: prepend_scheme, or in older files add_prefix_space. */
static bool read_prefix_scheme(const json_t *json, enum prefix_space *out, struct talc_error *err) {
    bool prefix;
    const char *scheme = json_text(json, "prepend_scheme");
    if (!json_get_bool(json, "add_prefix_space", true, &prefix, err)) return false;
    if (!*scheme) scheme = prefix ? "always" : "never";
    *out = strcmp(scheme, "always") == 0 ? PREFIX_ALWAYS : strcmp(scheme, "first") == 0 ? PREFIX_FIRST : PREFIX_NONE;
    return *out != PREFIX_NONE || strcmp(scheme, "never") == 0 ||
           talc_fail(err, "%s: prepend_scheme \"%s\" is not supported", type_of(json), scheme);
}

static bool add_metaspace(struct tokenizer *tok, const json_t *json, struct talc_error *err) {
    bool cut;
    struct split_step step = {.kind = SPLIT_TEXT, .behavior = SPLIT_MERGED_WITH_NEXT};
    const char *mark = *json_text(json, "replacement") ? json_text(json, "replacement") : SPACE_MARK;
    if (strcmp(mark, SPACE_MARK) != 0) return talc_fail(err, "Metaspace with \"%s\" is not supported", mark);
    if (!tokenizer_marks_spaces(tok) || tok->split.n_steps > 0)
        return talc_fail(err, "pre_tokenizer Metaspace beside other steps is not supported");
    if (!read_prefix_scheme(json, &tok->prefix_space, err) || !json_get_bool(json, "split", true, &cut, err))
        return false;
    if (!cut) return true;
    step.text = strdup(" ");
    return step.text ? split_add(&tok->split, step, err) : talc_fail(err, "out of memory for a pre_tokenizer");
}

/* Steps behind ByteLevel see the characters that stand for bytes. */
static bool read_pre_tokenizer(struct tokenizer *tok, const json_t *step, bool *byte_level, int depth,
                               struct talc_error *err) {
    const json_t *entry;
    size_t i;
    if (!step || json_is_null(step)) return true;
    if (is_type(step, "Sequence") && depth < MAX_NESTING) {
        json_array_foreach(json_object_get(step, "pretokenizers"), i, entry) {
            if (!read_pre_tokenizer(tok, entry, byte_level, depth + 1, err)) return false;
        }
        return true;
    }
    if (is_type(step, "Split")) return add_split(tok, step, *byte_level, err);
    if (is_type(step, "Digits")) return add_digits(tok, step, *byte_level, err);
    if (is_type(step, "Metaspace")) return add_metaspace(tok, step, err);
    if (*byte_level) return talc_fail(err, "pre_tokenizer %s behind ByteLevel is not supported", type_of(step));
    if (is_type(step, "Punctuation")) return add_punctuation(tok, step, err);
    if (is_type(step, "BertPreTokenizer"))
        return add_class(tok, (struct split_step){.classes = UNICODE_SPACE, .behavior = SPLIT_REMOVED}, err) &&
               add_punctuation(tok, step, err);
    if (is_type(step, "ByteLevel")) {
        *byte_level = true;
        return add_byte_level(tok, step, err);
    }
    bool whitespace = is_type(step, "Whitespace");
    if (tok->type == TOKENIZER_UNIGRAM && is_type(step, "WhitespaceSplit") && tok->split.n_steps == 0) {
        tok->words_apart = true;
        return true;
    }
    if (!whitespace && !is_type(step, "WhitespaceSplit"))
        return talc_fail(err, "pre_tokenizer \"%s\" is not supported", type_of(step));
    if (tok->type != TOKENIZER_BYTE_BPE && tok->type != TOKENIZER_WORDPIECE)
        return talc_fail(err, "pre_tokenizer %s without ByteLevel is not supported", type_of(step));
    return add_class(tok, (struct split_step){.classes = UNICODE_SPACE, .behavior = SPLIT_REMOVED}, err) &&
           (!whitespace || add_class(tok, (struct split_step){.classes = UNICODE_WORD}, err));
}

/* ==== decoder and post_processor ============================================================== */

static bool read_space_decoder(struct tokenizer *tok, const json_t *decoder, int depth, struct talc_error *err) {
    const json_t *entry;
    size_t i;
    int64_t start;
    enum prefix_space prefix;
    if (is_type(decoder, "Metaspace")) {
        if (!read_prefix_scheme(decoder, &prefix, err)) return false;
        tok->strip_space = prefix != PREFIX_NONE;
        return true;
    }
    if (is_type(decoder, "Strip")) {
        if (strcmp(json_text(decoder, "content"), " ") != 0 || !json_get_int(decoder, "start", 0, 0, 1, &start, err))
            return talc_fail(err, "decoder Strip is only supported for one space at the start");
        tok->strip_space = start == 1;
        return true;
    }
    if (is_type(decoder, "Replace") || is_type(decoder, "ByteFallback") || is_type(decoder, "Fuse")) return true;
    if (!is_type(decoder, "Sequence") || depth > MAX_NESTING)
        return talc_fail(err, "decoder \"%s\" is not supported with this pre_tokenizer", type_of(decoder));
    json_array_foreach(json_object_get(decoder, "decoders"), i, entry) {
        if (!read_space_decoder(tok, entry, depth + 1, err)) return false;
    }
    return true;
}

static bool read_wordpiece_decoder(struct tokenizer *tok, const json_t *decoder, struct talc_error *err) {
    const char *prefix;
    if (!is_type(decoder, "WordPiece"))
        return talc_fail(err, "decoder \"%s\" is not supported with WordPiece", type_of(decoder));
    if (!json_get_string(decoder, "prefix", "##", &prefix, err) ||
        !json_get_bool(decoder, "cleanup", true, &tok->wordpiece.cleanup, err))
        return false;
    return strcmp(prefix, tok->wordpiece.prefix) == 0 ||
           talc_fail(err, "decoder WordPiece has the prefix \"%s\", its model \"%s\"", prefix, tok->wordpiece.prefix);
}

static bool read_decoder(struct tokenizer *tok, const json_t *decoder, struct talc_error *err) {
    if (tokenizer_marks_spaces(tok)) return read_space_decoder(tok, decoder, 0, err);
    if (tok->type == TOKENIZER_WORDPIECE) return read_wordpiece_decoder(tok, decoder, err);
    const char *expected = tok->type == TOKENIZER_CHARACTER ? "Fuse" : "ByteLevel";
    return is_type(decoder, expected) ||
           talc_fail(err, "decoder \"%s\" is not supported with this pre_tokenizer (expected \"%s\")", type_of(decoder),
                     expected);
}

/* The id of the special token of a template's entry, -1 when the entry is the text. */
static int32_t template_token(const json_t *processor, const json_t *entry) {
    const json_t *special = json_object_get(entry, "SpecialToken");
    if (!special) return -1;
    const json_t *known = json_object_get(json_object_get(processor, "special_tokens"), json_text(special, "id"));
    const json_t *id = json_array_get(json_object_get(known, "ids"), 0);
    return json_is_integer(id) && json_integer_value(id) >= 0 && json_integer_value(id) < VOCABULARY_MAX_SIZE
               ? (int32_t)json_integer_value(id)
               : -2;
}

static bool read_template(struct tokenizer *tok, const json_t *processor, struct talc_error *err) {
    const json_t *entry;
    size_t i;
    bool text_seen = false;
    json_array_foreach(json_object_get(processor, "single"), i, entry) {
        int32_t id = template_token(processor, entry);
        bool again = text_seen ? id == -1 || tok->add_eos : id != -1 && tok->add_bos;
        if (id == -2 || again)
            return talc_fail(err, "post_processor TemplateProcessing is only supported with at most one special token "
                                  "on each side of the text");
        if (id == -1) {
            text_seen = true;
        } else if (text_seen) {
            tok->add_eos = true;
            tok->eos_id = id;
        } else {
            tok->add_bos = true;
            tok->bos_id = id;
        }
    }
    return true;
}

/* ["[SEP]", 102] */
static bool pair_id(const json_t *pair, int32_t *id) {
    const json_t *value = json_array_get(pair, 1);
    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) >= VOCABULARY_MAX_SIZE)
        return false;
    *id = (int32_t)json_integer_value(value);
    return true;
}

static bool read_bert_processing(struct tokenizer *tok, const json_t *processor, struct talc_error *err) {
    tok->add_bos = tok->add_eos = true;
    return (pair_id(json_object_get(processor, "cls"), &tok->bos_id) &&
            pair_id(json_object_get(processor, "sep"), &tok->eos_id)) ||
           talc_fail(err, "post_processor %s: cls and sep must be [token, id]", type_of(processor));
}

static bool read_post_processor(struct tokenizer *tok, const json_t *processor, int depth, struct talc_error *err) {
    const json_t *entry;
    size_t i;
    if (!processor || json_is_null(processor) || is_type(processor, "ByteLevel")) return true;
    if (is_type(processor, "TemplateProcessing")) return read_template(tok, processor, err);
    if (is_type(processor, "BertProcessing") || is_type(processor, "RobertaProcessing"))
        return read_bert_processing(tok, processor, err);
    if (!is_type(processor, "Sequence") || depth > MAX_NESTING)
        return talc_fail(err, "post_processor \"%s\" is not supported", type_of(processor));
    json_array_foreach(json_object_get(processor, "processors"), i, entry) {
        if (!read_post_processor(tok, entry, depth + 1, err)) return false;
    }
    return true;
}

/* ==== all of them ============================================================================= */

/* Words without the white space between them are only known with Metaspace behind it. */
static bool check_words_apart(const struct tokenizer *tok, struct talc_error *err) {
    if (!tok->words_apart || (tok->prefix_space == PREFIX_ALWAYS && tok->split.n_steps == 1)) return true;
    return talc_fail(err, "pre_tokenizer WhitespaceSplit is only supported before a Metaspace that puts a space before "
                          "every word and cuts there");
}

bool tokenizer_read_sections(struct tokenizer *tok, json_t *normalizer, json_t *pre_tokenizer, json_t *post_processor,
                             json_t *decoder, struct talc_error *err) {
    bool byte_level = false;
    if (tok->type == TOKENIZER_UNIGRAM || tok->type == TOKENIZER_WORDPIECE)
        ; /* said by the model */
    else if (has_type(pre_tokenizer, "pretokenizers", "ByteLevel", 0))
        tok->type = TOKENIZER_BYTE_BPE;
    else if (marks_spaces(normalizer, 0) || has_type(pre_tokenizer, "pretokenizers", "Metaspace", 0))
        tok->type = TOKENIZER_SPACE_BPE;
    else if (!pre_tokenizer || json_is_null(pre_tokenizer))
        tok->type = TOKENIZER_CHARACTER;
    else
        return talc_fail(err, "pre_tokenizer \"%s\" without ByteLevel or Metaspace is not supported",
                         type_of(pre_tokenizer));
    tok->sections = (struct tokenizer_sections){json_incref(normalizer), json_incref(pre_tokenizer),
                                                json_incref(post_processor), json_incref(decoder)};
    return read_pre_tokenizer(tok, pre_tokenizer, &byte_level, 0, err) && check_words_apart(tok, err) &&
           read_normalizer(tok, normalizer, 0, err) && read_post_processor(tok, post_processor, 0, err) &&
           read_decoder(tok, decoder, err);
}

/* Takes over its arguments; decoder NULL: there was no memory for one of them. */
static bool use_sections(struct tokenizer *tok, json_t *normalizer, json_t *pre_tokenizer, json_t *decoder,
                         struct talc_error *err) {
    bool ok = decoder ? tokenizer_read_sections(tok, normalizer, pre_tokenizer, NULL, decoder, err)
                      : talc_fail(err, "out of memory for a tokenizer");
    json_decref(normalizer);
    json_decref(pre_tokenizer);
    json_decref(decoder);
    return ok;
}

static json_t *byte_level_json(bool use_regex) {
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0, "trim_offsets", 0, "use_regex",
                     (int)use_regex);
}

static json_t *split_json(const char *regex) {
    return json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex", regex, "behavior", "Isolated",
                     "invert", 0);
}

bool tokenizer_use_pattern(struct tokenizer *tok, enum pretokenizer pattern, struct talc_error *err) {
    json_t *cut = pattern == PRETOKENIZER_GPT2
                      ? byte_level_json(true)
                      : json_pack("{s:s, s:[o, o]}", "type", "Sequence", "pretokenizers",
                                  split_json(pretokenizer_regex(pattern)), byte_level_json(false));
    return use_sections(tok, NULL, cut, cut ? byte_level_json(true) : NULL, err);
}

bool tokenizer_use_regexes(struct tokenizer *tok, const char *const *regexes, size_t n, bool nfc,
                           struct talc_error *err) {
    json_t *steps = json_array(), *normalizer = nfc ? json_pack("{s:s}", "type", "NFC") : NULL;
    bool ok = !nfc || normalizer;
    for (size_t i = 0; i < n; i++) ok = ok && json_array_append_new(steps, split_json(regexes[i])) == 0;
    ok = ok && json_array_append_new(steps, byte_level_json(false)) == 0;
    json_t *cut = json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", steps);
    return use_sections(tok, normalizer, cut, ok && cut ? byte_level_json(true) : NULL, err);
}

bool tokenizer_use_characters(struct tokenizer *tok, struct talc_error *err) {
    return use_sections(tok, NULL, NULL, json_pack("{s:s}", "type", "Fuse"), err);
}

bool tokenizer_use_spaces(struct tokenizer *tok, bool prefix, struct talc_error *err) {
    json_t *replace =
        json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "String", " ", "content", SPACE_MARK);
    json_t *prepend = json_pack("{s:s, s:s}", "type", "Prepend", "prepend", SPACE_MARK);
    json_t *normalizer = prefix ? json_pack("{s:s, s:[O, O]}", "type", "Sequence", "normalizers", prepend, replace)
                                : json_incref(replace);
    json_t *decoders = json_pack("[{s:s, s:{s:s}, s:s}, {s:s}, {s:s}]", "type", "Replace", "pattern", "String",
                                 SPACE_MARK, "content", " ", "type", "ByteFallback", "type", "Fuse");
    bool ok = normalizer && replace && prepend;
    if (prefix)
        ok = ok && json_array_append_new(decoders, json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content", " ",
                                                             "start", 1, "stop", 0)) == 0;
    json_decref(replace);
    json_decref(prepend);
    json_t *decoder = json_pack("{s:s, s:o}", "type", "Sequence", "decoders", decoders);
    if (!ok) {
        json_decref(decoder);
        decoder = NULL;
    }
    return use_sections(tok, normalizer, NULL, decoder, err);
}
