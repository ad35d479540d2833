/* chat.h - conversations as tokens: the one function that training, chatting and serving share. */
#ifndef TALC_TEXT_CHAT_H
#define TALC_TEXT_CHAT_H

#include "text/template.h"
#include "text/tokenizer.h"

/* The template of models made here, that of Phi-4-mini: two tokens a turn. ChatML takes five, which in a chat of short
 * turns is a sixth of all that is read. */
#define CHAT_TEMPLATE_TALC                                                                                             \
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"    \
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
/* For a tokenizer that has ChatML's tokens and no template of its own. */
#define CHAT_TEMPLATE_CHATML                                                                                           \
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "  \
    "'\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"

/* The template for a tokenizer that brings none, by the special tokens that it has; NULL: neither knows a chat. */
const char *chat_template_for(const struct tokenizer *tokenizer);

struct chat_options {
    bool add_generation_prompt; /* end with what begins an answer */
    const json_t *tools;        /* array, or NULL */
    const json_t *variables;    /* object of further template variables, or NULL */
};

/* Renders `messages` (an array of {role, content}) and appends its tokens to *ids. Special tokens are recognised only
 * in the template's own text: what users wrote stays text, whatever it looks like. `learn` (may be NULL) gets one byte
 * a token: 1 for what the assistant says and the token that ends its turn. Those are known from {% generation %}, or
 * else by rendering the conversation up to before and after each answer, which must only add text at the end. On
 * failure *ids and *learn keep what they had. */
bool chat_encode(const struct tokenizer *tokenizer, const struct chat_template *chat_template, const json_t *messages,
                 const struct chat_options *options, struct token_list *ids, struct buffer *learn,
                 struct talc_error *err);

#endif
