/* cuts.c - where a document may be cut for a tokenizer so that no id changes: what its normalizer, its added tokens and
 * its pre-tokenizer do there. What is not known to be harmless is taken for harmful. */
#include <string.h>

#include "text/scan.h"
#include "text/tokenizer_parts.h"

#define OF_LETTERS (UNICODE_LETTER | UNICODE_MARK) /* what a letter may become */

/* The places that a match of this text can never reach over. letters_stay: letters of the document are letters, and
 * marks behind them, in what is matched. */
static unsigned cuts_beside(const char *text, bool letters_stay) {
    unsigned cuts = CUT_ANYWHERE, before = 0, class;
    size_t n = strlen(text);
    for (size_t i = 0; i < n; before = class) {
        size_t length = scan_character(text, n, i, &class);
        if (text[i] == ' ' && (!letters_stay || before & OF_LETTERS)) cuts &= ~(unsigned)CUT_AT_SPACE;
        if (text[i] == '\n' && !letters_stay) cuts &= ~(unsigned)CUT_AT_LINE_END;
        if (i && text[i - 1] == '\n' && class & UNICODE_LETTER) cuts &= ~(unsigned)CUT_AT_LINE_END;
        if (text[i] & 0x80) cuts &= ~(unsigned)CUT_AT_SIGN;
        i += length;
    }
    return cuts;
}

/* ==== the normalizer ========================================================================== */

/* Texts of signs (`` to ") stand at no such place, and make none. */
static bool is_of_signs(const char *text) {
    for (; *text; text++)
        if (*text & 0x80 || !(unicode_class(*text) & (UNICODE_PUNCTUATION | UNICODE_SYMBOL))) return false;
    return true;
}

/* SentencePiece's own make a space of a line end. */
static unsigned cuts_of_normalizer(const struct normalizer *normalizer) {
    unsigned cuts = CUT_ANYWHERE;
    for (int i = 0; i < normalizer->n_steps; i++) {
        const struct normalizer_step *step = &normalizer->steps[i];
        if (step->kind == NORMALIZER_CHARSMAP || step->kind == NORMALIZER_PRECOMPILED)
            cuts &= ~(unsigned)CUT_AT_LINE_END;
        if (step->kind == NORMALIZER_REPLACE_REGEX) return 0;
        if (step->kind == NORMALIZER_REPLACE && (!is_of_signs(step->what) || !is_of_signs(step->with))) return 0;
    }
    return cuts;
}

/* ==== added tokens ============================================================================ */

static bool letters_stay(const struct normalizer *normalizer) {
    const unsigned harmless = 1u << NORMALIZER_NFC | 1u << NORMALIZER_NFD | 1u << NORMALIZER_LOWERCASE |
                              1u << NORMALIZER_STRIP | 1u << NORMALIZER_PREPEND | 1u << NORMALIZER_REPLACE;
    for (int i = 0; i < normalizer->n_steps; i++)
        if (!(harmless >> normalizer->steps[i].kind & 1)) return false;
    return true;
}

/* True when text beside an added token is treated in another way than within a text: spaces are put or stripped. */
static bool ends_are_treated(const struct tokenizer *tok, bool normalized) {
    const unsigned treating =
        1u << NORMALIZER_PREPEND | 1u << NORMALIZER_STRIP | 1u << NORMALIZER_CHARSMAP | 1u << NORMALIZER_PRECOMPILED;
    if (tok->prefix_space == PREFIX_ALWAYS) return true;
    for (int i = 0; !normalized && i < tok->normalizer.n_steps; i++)
        if (treating >> tok->normalizer.steps[i].kind & 1) return true;
    return false;
}

/* Those where it changes nothing that the token is found in ordinary text. */
static unsigned cuts_of_token(const struct tokenizer *tok, const struct added_token *token) {
    bool stay = !token->normalized || letters_stay(&tok->normalizer);
    unsigned cuts = cuts_beside(token->text, stay), first, last, touched = 0; /* those where it may begin or end */
    if (token->n_bytes == 0) return cuts;
    char end = token->text[token->n_bytes - 1];
    scan_character(token->text, token->n_bytes, 0, &first);
    scan_character_before(token->text, token->n_bytes, &last);
    bool begins_with_letter = !stay || first & UNICODE_LETTER, ends_in_letter = !stay || last & OF_LETTERS;
    if (*token->text == ' ' || ends_in_letter) touched |= CUT_AT_SPACE;
    if (begins_with_letter || token->rstrip || end == '\n') touched |= CUT_AT_LINE_END;
    if (*token->text & 0x80 || ends_in_letter) touched |= CUT_AT_SIGN;
    if (ends_are_treated(tok, token->normalized)) cuts &= ~touched;
    if (token->rstrip && ends_in_letter) cuts &= ~(unsigned)CUT_AT_SPACE;
    if (token->lstrip && begins_with_letter) cuts &= ~(unsigned)CUT_AT_LINE_END;
    if (token->single_word) cuts &= ~(unsigned)CUT_AT_SIGN;
    return cuts;
}

static unsigned cuts_of_added(const struct tokenizer *tok) {
    unsigned cuts = CUT_ANYWHERE;
    for (size_t i = 0; i < tok->added.n_tokens; i++)
        if (!tok->added.tokens[i].special) cuts &= cuts_of_token(tok, &tok->added.tokens[i]);
    return cuts;
}

/* ==== the pre-tokenizer ======================================================================= */

struct step_cuts {
    unsigned kept; /* where the step gives the parts what it gives the whole */
    unsigned made; /* where it cuts itself */
};

/* Behind a part of a regular expression that matches nothing but a number or a sign; p: it is none. */
static const char *skip_number_or_sign(const char *p, bool in_set) {
    if (*p == '\\' && p[1] == 'p')
        return strncmp(p, "\\p{N}", 5) == 0 || strncmp(p, "\\p{P}", 5) == 0 || strncmp(p, "\\p{S}", 5) == 0 ? p + 5 : p;
    if (*p == '\\' && p[1]) return strchr("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", p[1]) ? p + 2 : p;
    if (in_set && strncmp(p, "0-9", 3) == 0) return p + 3;
    return in_set && *p && strchr("!\"#$%'()*+,./:;<=>?@_`{|}~0123456789", *p) ? p + 1 : p;
}

/* True when the expression is a row of these, or of sets of these, each perhaps repeated: a match has no letter and no
 * white space. */
static bool matches_numbers_and_signs(const char *p) {
    while (*p) {
        bool in_set = *p == '[';
        const char *begin = p + in_set, *end;
        for (p = begin; (end = skip_number_or_sign(p, in_set)) > p && in_set;) p = end;
        if (in_set ? p == begin || *p != ']' : end == p) return false;
        p = in_set ? p + 1 : end;
        if (*p == '+') p++;
        if (*p != '{') continue;
        p += 1 + strspn(p + 1, "0123456789,");
        if (*p++ != '}') return false;
    }
    return true;
}

static struct step_cuts cuts_of_step(const struct split_step *step) {
    const struct step_cuts none = {0, 0};
    bool keeps = !step->invert && step->behavior != SPLIT_MERGED_WITH_PREVIOUS;
    bool merges = step->behavior == SPLIT_MERGED_WITH_NEXT;
    switch (step->kind) {
    case SPLIT_SCANNER:
        if (!keeps || step->behavior != SPLIT_ISOLATED) return none;
        return (struct step_cuts){CUT_ANYWHERE, CUT_ANYWHERE};
    case SPLIT_CLASS: {
        /* between a letter and white space, if one of them belongs to it */
        bool letters = step->classes & UNICODE_WORD, spaces = step->classes & UNICODE_SPACE;
        if (!keeps || merges || (!letters && step->classes & UNICODE_LETTER)) return none;
        return (struct step_cuts){CUT_ANYWHERE, letters != spaces ? CUT_AT_SPACE | CUT_AT_LINE_END : 0};
    }
    case SPLIT_CJK: return keeps && !merges ? (struct step_cuts){CUT_ANYWHERE, 0} : none;
    case SPLIT_TEXT:
        if (!keeps) return none;
        if (strcmp(step->text, " ") == 0) return (struct step_cuts){CUT_ANYWHERE, CUT_AT_SPACE};
        return merges ? none : (struct step_cuts){cuts_beside(step->text, false), 0};
    case SPLIT_REGEX: /* it may match anything else */
        return keeps && !merges && matches_numbers_and_signs(step->text) ? (struct step_cuts){CUT_ANYWHERE, 0} : none;
    }
    return none;
}

/* Where words end that are cut no further. */
static unsigned cuts_of_split(const struct tokenizer *tok) {
    struct step_cuts all = {CUT_ANYWHERE, 0};
    for (int i = 0; i < tok->split.n_steps; i++) {
        struct step_cuts cuts = cuts_of_step(&tok->split.steps[i]);
        all.kept &= cuts.kept;
        all.made |= cuts.made;
    }
    /* no token reaches over these, but a sum of scores does */
    if (tok->split.n_steps == 0 && tok->split_before_spaces) all.made |= CUT_AT_SPACE;
    if (tok->split.n_steps == 0 && tok->split_at_line_ends) all.made |= CUT_AT_LINE_END;
    if (tok->words_apart) all.made |= CUT_AT_SPACE | CUT_AT_LINE_END;
    return all.kept & all.made;
}

unsigned tokenizer_cuts(const struct tokenizer *tok) {
    unsigned cuts = cuts_of_normalizer(&tok->normalizer) & cuts_of_added(tok);
    return tok->type == TOKENIZER_CHARACTER ? cuts : cuts & cuts_of_split(tok);
}
