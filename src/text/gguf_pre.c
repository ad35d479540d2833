/* gguf_pre.c - see gguf_pre.h. A name that is not known here is refused; a way to cut text that no name stands for is
 * not written. */
#include "text/gguf_pre.h"

#include <stdio.h>
#include <string.h>

#define GPT2_REGEX "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define PUNCTUATION_RUNS "[\\p{P}\\$\\+<=>\\^~\\|`]+"
#define CJK_RUNS "[\xe4\xb8\x80-\xe9\xbe\xa5\xe0\xa0\x80-\xe4\xb8\x80\xea\xb0\x80-\xed\x9f\xbf]+"
#define DEEPSEEK3_CJK "[\xe4\xb8\x80-\xe9\xbe\xa5\xe3\x81\x80-\xe3\x82\x9f\xe3\x82\xa0-\xe3\x83\xbf]+"

static const struct gguf_pre pres[] = {
    {.names = ",llama3,llama-v3,llama-bpe,falcon3,falcon-h1,pixtral,midm-2.0,lfm2,jina-v5-nano,",
     .pattern = PRETOKENIZER_LLAMA3,
     .whole_words = true,
     .add_bos = true},
    {.names = ",dbrx,smaug-bpe,glm4,chatglm-bpe,", .pattern = PRETOKENIZER_LLAMA3},
    {.names = ",qwen2,deepseek-r1-qwen,kormo,openpangu,f2llmv2,megrez,", .pattern = PRETOKENIZER_QWEN2, .nfc = true},
    {.names = ",stablelm2,hunyuan,grok-2,solar-open,", .pattern = PRETOKENIZER_QWEN2},
    {.names = ",qwen35,", .pattern = PRETOKENIZER_QWEN35, .nfc = true},
    {.names = ",gpt-2,phi-2,jina-es,jina-de,gigachat,jina-v2-es,jina-v2-de,a.x-4.0,mellum,modern-bert,jina-v1-en,"
              "jina-v2-code,roberta-bpe,mpt,olmo,jais,trillion,granite-docling,",
     .pattern = PRETOKENIZER_GPT2},
    {.names = ",gpt-4o,llama4,kanana2,minimax-m2,", .pattern = PRETOKENIZER_O200K},
    {.names = ",tekken,", .pattern = PRETOKENIZER_TEKKEN, .whole_words = true, .add_bos = true},
    {.names = ",starcoder,refact,command-r,cohere2_moe,smollm,codeshell,exaone,minerva-7b,mellum2,",
     .regexes = {"\\p{N}", GPT2_REGEX}},
    {.names = ",falcon,", .regexes = {PUNCTUATION_RUNS, GPT2_REGEX, "[0-9][0-9][0-9]"}},
    {.names = ",default,", .regexes = {"[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2_REGEX, "\\p{N}+", "[0-9][0-9][0-9]"}},
    {.names = ",deepseek-coder,", .regexes = {"[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", CJK_RUNS, "\\p{N}"}},
    {.names = ",deepseek-llm,",
     .regexes = {"[\r\n]",
                 "\\s?[A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af"
                 "\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5"
                 "\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba"
                 "\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45"
                 "\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe"
                 "\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc"
                 "\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139"
                 "\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3"
                 "\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06"
                 "\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3"
                 "\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df"
                 "\U0001e900-\U0001e943]+",
                 "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+", "\\s+$", CJK_RUNS, "\\p{N}+"}},
    {.names = ",deepseek-v3,hunyuan-dense,joyai-llm,",
     .regexes = {"\\p{N}{1,3}", DEEPSEEK3_CJK, NULL}, /* and the pattern */
     .pattern = PRETOKENIZER_DEEPSEEK},
    {.names = ",poro-chat,bloom,gpt3-finnish,",
     .regexes = {" ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+"}},
    {.names = ",viking,", .regexes = {" ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+", "\\p{N}"}},
};

const struct gguf_pre *gguf_pre_find(struct gguf_string name) {
    char key[64];
    if (name.n_bytes + 3 > sizeof key) return NULL;
    key[0] = ',';
    memcpy(key + 1, name.data, name.n_bytes);
    memcpy(key + 1 + name.n_bytes, ",", 2);
    for (size_t i = 0; i < sizeof pres / sizeof *pres; i++)
        if (strlen(key) == name.n_bytes + 2 && strstr(pres[i].names, key)) return &pres[i];
    return NULL;
}

bool gguf_pre_use(struct tokenizer *tok, const struct gguf_pre *pre, struct talc_error *err) {
    const char *regexes[7];
    size_t n = 0;
    while (n < 6 && pre->regexes[n]) {
        regexes[n] = pre->regexes[n];
        n++;
    }
    tok->bpe.whole_words = pre->whole_words;
    if (n == 0 && !pre->nfc) return tokenizer_use_pattern(tok, pre->pattern, err);
    if (n == 0 || pre->pattern != PRETOKENIZER_GPT2) regexes[n++] = pretokenizer_regex(pre->pattern);
    return tokenizer_use_regexes(tok, regexes, n, pre->nfc, err);
}

static bool same_step(const struct split_step *a, const struct split_step *b) {
    const char *x = a->text ? a->text : "", *y = b->text ? b->text : "";
    return a->kind == b->kind && a->behavior == b->behavior && a->invert == b->invert && a->scanner == b->scanner &&
           a->classes == b->classes && a->ascii_signs == b->ascii_signs && a->byte_characters == b->byte_characters &&
           a->max_run == b->max_run && strcmp(x, y) == 0;
}

static bool same_treatment(const struct tokenizer *a, const struct tokenizer *b) {
    bool same = a->split.n_steps == b->split.n_steps && a->normalizer.n_steps == b->normalizer.n_steps;
    for (int i = 0; same && i < a->split.n_steps; i++) same = same_step(&a->split.steps[i], &b->split.steps[i]);
    for (int i = 0; same && i < a->normalizer.n_steps; i++)
        same = a->normalizer.steps[i].kind == b->normalizer.steps[i].kind;
    return same;
}

bool gguf_pre_of(const struct tokenizer *tok, char *name, struct talc_error *err) {
    bool found = false, looks_up = tok->bpe.longest_other > 0;
    for (size_t i = 0; !found && i < sizeof pres / sizeof *pres; i++) {
        struct tokenizer *other = tokenizer_new(err);
        if (!other) return false;
        /* where merges lead to every token, looking words up changes nothing */
        found = gguf_pre_use(other, &pres[i], NULL) && same_treatment(tok, other) &&
                (!looks_up || other->bpe.whole_words) && (looks_up || !other->bpe.whole_words || tok->bpe.whole_words);
        tokenizer_free(other);
        if (!found) continue;
        const char *begin = pres[i].names + 1;
        snprintf(name, 64, "%.*s", (int)strcspn(begin, ","), begin);
    }
    return found || talc_fail(err,
                              "GGUF has no name (tokenizer.ggml.pre) for the way in which this tokenizer cuts text "
                              "(%s)",
                              tok->description);
}
