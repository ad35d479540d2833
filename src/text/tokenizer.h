/* tokenizer.h - text to token ids and back: byte-level BPE, SentencePiece BPE or unigram, or one token a character.
 *
 * A tokenizer is a vocabulary (id -> bytes), merges, a pattern that cuts text into words first (pretokenize.h), and
 * special tokens that stand for no text. It comes from a file (here) or is made from text (tokenizer_train.h). Once
 * made it is read-only: everything that takes a `const struct tokenizer *` may be called from several threads at once.
 *
 * decode(encode(x)) == x for every string of bytes, valid UTF-8 or not (byte-level, no normaliser). */
#ifndef TALC_TEXT_TOKENIZER_H
#define TALC_TEXT_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/thread_pool.h"

struct tokenizer;
struct gguf_writer;

/* Special tokens of models made here. A document ends with TOKEN_END_OF_TEXT; a turn of a chat begins with the token of
 * who speaks and ends with TOKEN_END. */
#define TOKEN_END_OF_TEXT "<|endoftext|>"
#define TOKEN_SYSTEM "<|system|>"
#define TOKEN_USER "<|user|>"
#define TOKEN_ASSISTANT "<|assistant|>"
#define TOKEN_END "<|end|>"
/* Those of ChatML, which other people's models speak. */
#define TOKEN_IM_START "<|im_start|>"
#define TOKEN_IM_END "<|im_end|>"

/* A growable list of ids; all zero is an empty one. Owns `ids`. */
struct token_list {
    int32_t *ids;
    size_t count, capacity;
};
bool token_list_append(struct token_list *list, int32_t id); /* false: out of memory, the list is unchanged */
bool token_list_reserve(struct token_list *list, size_t extra);
void token_list_clear(struct token_list *list); /* count 0; keeps the memory */
void token_list_free(struct token_list *list);

/* Loads
 *   a Hugging Face folder: tokenizer.json, or else tokenizer.model, tekken.json, or vocab.json and merges.txt; and
 *     where there are tokenizer_config.json, special_tokens_map.json and chat_template.jinja;
 *   a tokenizer.json alone; a GGUF file's tokenizer; a SentencePiece model (BPE or unigram);
 *   Mistral's tekken.json;
 *   a .tiktoken file (also one called tokenizer.model): its name, or the number of its tokens, tells its pattern.
 * What talc cannot do exactly as the file asks is refused by name. NULL on failure. */
struct tokenizer *tokenizer_load(const char *path, struct talc_error *err);
void tokenizer_free(struct tokenizer *tok); /* NULL is fine */

/* The tokenizer_config.json of a folder that was written here begins with the mark, by which talc knows it.
 * Transformers, which keeps keys that it does not know, sorts them: what it saves has none. */
#define TOKENIZER_FOLDER_MARK "{\n  \"written_by\": \"talc\""
#define TOKENIZER_FOLDER_NAMES "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json"

/* Writes tokenizer.json (or the SentencePiece model as it was, where only that says all), tokenizer_config.json and
 * special_tokens_map.json into an existing folder (each complete or absent), so that Hugging Face `tokenizers` and
 * AutoTokenizer load them with the same ids. chat_template NULL: the tokenizer's own, if it has one. Fails where only a
 * SentencePiece model says all and the tokenizer is not from one. */
bool tokenizer_save_folder(const struct tokenizer *tok, const char *folder, const char *chat_template,
                           struct talc_error *err);

/* Fails where that fails because no file would say all, to be asked before long work. */
bool tokenizer_may_save(const struct tokenizer *tok, const char *folder, struct talc_error *err);

/* Puts the tokenizer.ggml.* keys of llama.cpp, and the chat template, among a GGUF file's metadata
 * (file/gguf_writer.h). Refuses what these keys cannot say (rules of added tokens, normalizers, a way to cut text that
 * has no name there). */
bool tokenizer_put_gguf(const struct tokenizer *tok, const char *chat_template, struct gguf_writer *w,
                        struct talc_error *err);

/* Writes a GGUF file with the tokenizer alone. Complete or absent. */
bool tokenizer_save_gguf(const struct tokenizer *tok, const char *path, struct talc_error *err);

/* Appends the ids of text[0..n_bytes) to *out; no BOS or EOS is added. Special tokens are recognised only when
 * parse_special is true: never pass true with text that a user wrote. (Tokens that a file adds without calling them
 * special, as Qwen3 does with <think>, are ordinary words and always recognised, as Hugging Face does.) On failure *out
 * keeps what it had. A character tokenizer without an unknown token fails at a character that it does not have. */
bool tokenizer_encode(const struct tokenizer *tok, const char *text, size_t n_bytes, bool parse_special,
                      struct token_list *out, struct talc_error *err);

/* Where a document may be cut (bits of enum text_cut, pretokenize.h) so that the ids of its parts, one after the other,
 * are those of the document; 0: nowhere. (A unigram tokenizer adds up the scores of all words that it does not cut
 * apart: how that sum is rounded depends on all that came before.) */
unsigned tokenizer_cuts(const struct tokenizer *tok);

/* As tokenizer_encode, for a part of a document that is cut at such a place: it continues what was before it, or goes
 * on behind. Nothing is put before a part that continues another. No special tokens are recognised. */
bool tokenizer_encode_part(const struct tokenizer *tok, const char *text, size_t n_bytes, bool continues, bool goes_on,
                           struct token_list *out, struct talc_error *err);

/* As tokenizer_encode, on all threads of a pool (NULL: alone): a long text is cut where that changes no word. The same
 * ids for any number of threads. */
bool tokenizer_encode_parallel(const struct tokenizer *tok, struct thread_pool *pool, const char *text, size_t n_bytes,
                               bool parse_special, struct token_list *out, struct talc_error *err);

/* Bytes [begin, end) of a text. */
struct text_part {
    size_t begin, end;
};

/* A text that a program wrote around the words of others. */
struct marked_text {
    const char *bytes;
    size_t n_bytes;
    const struct text_part *own; /* [n_own], in order and apart from each other: what the program itself wrote */
    size_t n_own;
    const char *marks; /* [n_bytes], changing between characters only; NULL: none */
};

/* As tokenizer_encode with special tokens, but these only where they stand whole in one of the parts `own`. *marks
 * (NULL where the text has none) gets the mark of the byte that each token begins with. Tokens of which only all
 * together are a piece of the text (of a character that the tokenizer changed, say) have that of the first one. On
 * failure *out and *marks keep what they had. */
bool tokenizer_encode_marked(const struct tokenizer *tok, const struct marked_text *text, struct token_list *out,
                             struct buffer *marks, struct talc_error *err);

/* As tokenizer_encode, with the BOS and EOS that the tokenizer's file puts around a text, but never a second one where
 * the text (a rendered chat template) has its own. */
bool tokenizer_encode_prompt(const struct tokenizer *tok, const char *text, size_t n_bytes, bool parse_special,
                             struct token_list *out, struct talc_error *err);
bool tokenizer_adds_bos(const struct tokenizer *tok);
bool tokenizer_adds_eos(const struct tokenizer *tok);

/* Whether words that were seen before are looked up (they are) or merged anew, for measurements. Not while other
 * threads use the tokenizer. */
void tokenizer_use_cache(struct tokenizer *tok, bool use);

/* Appends the bytes of the ids to *out; skip_special leaves special tokens out. SentencePiece's space before the text
 * is left out. Fails at an id outside the vocabulary (bytes before it are kept). */
bool tokenizer_decode(const struct tokenizer *tok, const int32_t *ids, size_t n, bool skip_special, struct buffer *out,
                      struct talc_error *err);

/* Where each of the ids that text was encoded as begins in text: begins[0..n_ids), and begins[n_ids] = n_bytes. Fails
 * where the tokenizer changed the text (a normal form, an unknown character), so that a token's bytes are not to be
 * found. */
bool tokenizer_offsets(const struct tokenizer *tok, const char *text, size_t n_bytes, const int32_t *ids, size_t n_ids,
                       size_t *begins, struct talc_error *err);

/* The bytes of one token (a special token: its name), not NUL-terminated, owned by the tokenizer; NULL and 0 when no
 * token has this id. Streaming decode appends these and shows utf8_complete_prefix of what there is. */
const char *tokenizer_token_bytes(const struct tokenizer *tok, int32_t id, size_t *n_bytes);

/* One more than the largest id, special tokens included: what a model's embedding needs at least. */
int32_t tokenizer_vocab_size(const struct tokenizer *tok);

bool tokenizer_is_special(const struct tokenizer *tok, int32_t id);

/* The added tokens, all special ones among them: how many, and the id of one. */
size_t tokenizer_added_count(const struct tokenizer *tok);
int32_t tokenizer_added_id(const struct tokenizer *tok, size_t i);

/* The id of an added token ("<|im_end|>"), special or not; -1: there is none of this name. */
int32_t tokenizer_special_id(const struct tokenizer *tok, const char *name);

/* Roles, -1 when there is none. eos ends an answer (TOKEN_END here, <|im_end|> for ChatML); end_of_text separates
 * documents. */
int32_t tokenizer_bos_id(const struct tokenizer *tok);
int32_t tokenizer_eos_id(const struct tokenizer *tok);
int32_t tokenizer_end_of_text_id(const struct tokenizer *tok);
int32_t tokenizer_pad_id(const struct tokenizer *tok);
int32_t tokenizer_unknown_id(const struct tokenizer *tok); /* stands for text that has no token */
/* The token that begins a text, in training data (prepare, sft) as in prompts and samples: BOS where the tokenizer's
 * file puts one before a text (Llama), else the end of the text before (GPT-2, Qwen, tokenizers made here); -1: none.
 */
static inline int32_t tokenizer_text_start_id(const struct tokenizer *tok) {
    return tokenizer_adds_bos(tok) ? tokenizer_bos_id(tok) : tokenizer_end_of_text_id(tok);
}
/* True for a token that ends an answer: eos, end of text, what generation_config.json (where there is none,
 * config.json) or a GGUF names besides, and special tokens that end a turn in the templates of known families
 * (<|im_end|>, <|eot_id|>, <|eom_id|>, <end_of_turn>, TOKEN_END). */
bool tokenizer_is_end(const struct tokenizer *tok, int32_t id);

/* The chat template (Jinja source) that came with the files or was set; NULL if none. */
const char *tokenizer_chat_template(const struct tokenizer *tok);

/* Copies `source`; NULL takes the template away. Not while other threads use the tokenizer. */
bool tokenizer_set_chat_template(struct tokenizer *tok, const char *source, struct talc_error *err);

/* A stable 64-bit hash of vocabulary, merges, special tokens and pattern: equal tokenizers give equal ids. Not of the
 * chat template. Kept beside token shards to see that data and model fit. */
uint64_t tokenizer_hash(const struct tokenizer *tok);

/* "byte-level BPE, pattern qwen2" and the like, for messages and `talc info`; owned by the tokenizer. */
const char *tokenizer_description(const struct tokenizer *tok);

#endif
