/* cuts.c - where a document may be cut for a tokenizer so that no id changes: what its normalizer, its added tokens and
 * its pre-tokenizer do there. What is not known to be harmless is taken for harmful. */
#include <string.h>

#include "text/tokenizer_parts.h"
#include "text/unicode.h"

/* The places that a match of this text can never reach over. */
static unsigned cuts_beside(const char *text) {
    unsigned cuts = CUT_ANYWHERE;
    for (; *text; text++) {
        if (*text == ' ') cuts &= ~(unsigned)CUT_AT_SPACE;
        if (*text == '\n') cuts &= ~(unsigned)CUT_AT_LINE_END;
        if (*text & 0x80) cuts &= ~(unsigned)CUT_AT_SIGN;
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

/* Of those that are found in ordinary text. */
static unsigned cuts_of_added(const struct added_list *list) {
    unsigned cuts = CUT_ANYWHERE;
    for (size_t i = 0; i < list->n_tokens; i++) {
        const struct added_token *token = &list->tokens[i];
        if (token->special) continue;
        cuts &= cuts_beside(token->text);
        if (token->rstrip) cuts &= ~(unsigned)CUT_AT_SPACE;
        if (token->lstrip) cuts &= ~(unsigned)CUT_AT_LINE_END;
        if (token->single_word) cuts &= ~(unsigned)CUT_AT_SIGN;
    }
    return cuts;
}

/* ==== the pre-tokenizer ======================================================================= */

struct step_cuts {
    unsigned kept; /* where the step gives the parts what it gives the whole */
    unsigned made; /* where it cuts itself */
};

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
        return merges ? none : (struct step_cuts){cuts_beside(step->text), 0};
    case SPLIT_REGEX: return none; /* it may match anything */
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
    unsigned cuts = cuts_of_normalizer(&tok->normalizer) & cuts_of_added(&tok->added);
    return tok->type == TOKENIZER_CHARACTER ? cuts : cuts & cuts_of_split(tok);
}
