/* cmd_tokenizer.c - talc tokenizer train, convert, encode, decode, show. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/progress.h"
#include "cli/cli.h"
#include "data/chat_reader.h"
#include "data/input_stream.h"
#include "data/text_reader.h"
#include "file/atomic.h"
#include "file/gguf.h"
#include "file/json.h"
#include "text/tokenizer.h"
#include "text/tokenizer_train.h"

/* Models and data have a tokenizer in their folders too, the one that they were made with: to replace that would spoil
 * them. */
static const char *const tokenizer_names[] = {TOKENIZER_FOLDER_NAMES, NULL};
static const struct folder_kind tokenizer_folder = {"tokenizer_config.json", TOKENIZER_FOLDER_MARK, tokenizer_names,
                                                    .replaced = true};

/* ==== train ====================================================== */

struct training {
    const char *type, *pattern, *out;
    int64_t vocab_size, min_count, threads, max_memory; /* MiB; 0: what the machine has left */
    struct option_list specials;
    bool allow_invalid, json, quiet;
    struct progress progress;
    const volatile sig_atomic_t *stop;
    uint64_t n_bytes; /* of text read */

    bool stated;       /* what training takes */
    size_t allowed;    /* bytes of memory */
    double start;      /* clock_seconds */
    double file_bytes; /* of all files; 0: not known, as for a pipe */
    double n_done;     /* of the files before this one */
};

#define MOMENT_SECONDS 0.5 /* what takes less, and less memory, is done before anyone has read what it takes */
#define MOMENT_BYTES 64e6
#define STATE_AT (1.0 / 16) /* of the files: enough to see how words grow */

static bool on_merges(void *context, int32_t n_tokens, int32_t vocab_size) {
    struct training *t = context;
    t->progress.total = vocab_size;
    progress_update(&t->progress, n_tokens, NULL);
    return !*t->stop;
}

static void measure_files(struct training *t, const struct command_line *line) {
    for (int i = 0; i < line->n_operands; i++) {
        struct stat st;
        if (stat(line->operands[i], &st) != 0 || !S_ISREG(st.st_mode)) {
            t->file_bytes = 0;
            return;
        }
        t->file_bytes += (double)st.st_size;
    }
}

/* Says what training will take when `share` of the files has been read, and refuses what takes too much. */
static bool state_costs(struct training *t, struct tokenizer_trainer *trainer, double share, struct talc_error *err) {
    struct tokenizer_train_estimate e;
    char memory[32], time[32], words[32], text[32];
    double n_bytes = (double)t->n_bytes / share;
    if (!tokenizer_trainer_estimate(trainer, n_bytes, &e, err)) return false;
    if (e.n_words == 0) return true;
    format_bytes(e.memory_bytes, memory);
    if (e.memory_bytes > (double)t->allowed)
        return talc_fail(
            err,
            "learning from this text takes about %s of memory, and only %s are allowed: give a part of it, "
            "or say --max-memory",
            memory, format_bytes((double)t->allowed, text));
    t->stated = true;
    double seconds = (clock_seconds() - t->start) / share + e.learning_seconds;
    if (t->quiet || (seconds < MOMENT_SECONDS && e.memory_bytes < MOMENT_BYTES)) return true;
    format_seconds(seconds, time);
    if (seconds < 10) snprintf(time, sizeof time, "%.1f s", seconds);
    fprintf(stderr, "about %s of memory and %s: %s different words in %s of text\n", memory, time,
            format_count(e.n_words, words), format_bytes(n_bytes, text));
    return true;
}

/* After each text; `position` bytes of its file have been read. */
static bool text_was_read(struct training *t, struct tokenizer_trainer *trainer, uint64_t position,
                          struct talc_error *err) {
    double share = t->file_bytes > 0 ? (t->n_done + (double)position) / t->file_bytes : 0;
    return t->stated || share < STATE_AT || share >= 1 || state_costs(t, trainer, share, err);
}

static bool add_text(struct training *t, struct tokenizer_trainer *trainer, const char *text, size_t n_bytes,
                     struct talc_error *err) {
    t->n_bytes += n_bytes;
    return tokenizer_trainer_add(trainer, text, n_bytes, err);
}

/* What is said in a conversation, message by message, and who says it: templates put the role before each. */
static bool add_messages(struct training *t, struct tokenizer_trainer *trainer, const json_t *messages,
                         struct talc_error *err) {
    static const char *const parts[] = {"role", "content"};
    size_t i;
    json_t *message;
    json_array_foreach(messages, i, message) for (int part = 0; part < 2; part++) {
        const json_t *text = json_object_get(message, parts[part]);
        if (json_is_string(text) && !add_text(t, trainer, json_string_value(text), json_string_length(text), err))
            return false;
    }
    return true;
}

/* JSON holds texts or conversations. */
static bool read_json(struct training *t, struct tokenizer_trainer *trainer, const char *path, struct talc_error *err) {
    struct chat_reader *reader = chat_reader_open(path, t->stop, err);
    struct chat_record r = {0};
    bool ok = reader != NULL;
    while (ok && (ok = chat_reader_next(reader, &r, err)) && r.where) {
        ok = r.text ? add_text(t, trainer, r.text, r.n_bytes, err) : add_messages(t, trainer, r.messages, err);
        if (!ok) talc_fail_in(err, "%s", r.where);
        ok = ok && text_was_read(t, trainer, chat_reader_position(reader), err);
    }
    if (ok) t->n_done += (double)chat_reader_position(reader);
    chat_reader_close(reader);
    return ok;
}

static bool read_file(struct training *t, struct tokenizer_trainer *trainer, const char *path, struct talc_error *err) {
    if (path_has_extension(path, "json") || path_has_extension(path, "jsonl")) return read_json(t, trainer, path, err);
    struct text_reader *reader = text_reader_open(path, t->allow_invalid, t->stop, err);
    struct text_piece piece = {.text = ""};
    bool ok = reader;
    while (ok && piece.text) {
        ok = text_reader_next(reader, &piece, err);
        if (!ok || !piece.text) break;
        ok = add_text(t, trainer, piece.text, piece.n_bytes, err) || talc_fail_in(err, "%s", path);
        ok = ok && text_was_read(t, trainer, text_reader_position(reader), err);
    }
    if (ok) t->n_done += (double)text_reader_position(reader);
    text_reader_close(reader);
    return ok;
}

static bool report(const struct training *t, const struct tokenizer *tok, struct talc_error *err) {
    if (t->json)
        return cli_print_json(stdout,
                              json_pack("{s:s, s:i, s:s, s:I}", "out", t->out, "vocab_size",
                                        (int)tokenizer_vocab_size(tok), "type", t->type, "text_bytes",
                                        (json_int_t)t->n_bytes),
                              err);
    char text[32];
    printf("%s: %s, %d tokens from %s of text\n", t->out, tokenizer_description(tok), (int)tokenizer_vocab_size(tok),
           format_bytes((double)t->n_bytes, text));
    if (strcmp(t->type, "bpe") == 0 && tokenizer_vocab_size(tok) < t->vocab_size)
        printf("The text gives no more tokens than these; --vocab-size asked for %lld.\n", (long long)t->vocab_size);
    return true;
}

/* Fills what was opened, and puts it in its place; with no tokenizer nothing is left of it. */
static bool fill_folder(struct atomic_folder *folder, const struct tokenizer *tok, struct talc_error *err) {
    if (tok && tokenizer_save_folder(tok, folder->temporary, NULL, err)) return atomic_folder_commit(folder, err);
    atomic_folder_abort(folder);
    return false;
}

static bool save_folder(const struct tokenizer *tok, const char *out, struct talc_error *err) {
    struct atomic_folder folder;
    return atomic_folder_open(&folder, out, &tokenizer_folder, err) && fill_folder(&folder, tok, err);
}

static struct tokenizer *learn(struct training *t, const struct tokenizer_train_options *options,
                               const struct command_line *line, struct talc_error *err) {
    struct tokenizer_trainer *trainer = tokenizer_trainer_open(options, err);
    bool ok = trainer;
    t->start = clock_seconds();
    measure_files(t, line);
    for (int i = 0; ok && i < line->n_operands; i++) ok = read_file(t, trainer, line->operands[i], err);
    if (ok && !t->stated) ok = state_costs(t, trainer, 1, err);
    progress_start(&t->progress, "merges", "token", 0, (double)options->vocab_size, t->quiet || options->characters);
    struct tokenizer *tok = ok ? tokenizer_trainer_finish(trainer, err) : NULL;
    progress_clear(&t->progress);
    tokenizer_trainer_close(trainer);
    return tok;
}

/* The folder is opened first: one that cannot be made is told before the work. */
static bool train_from_files(struct training *t, const struct tokenizer_train_options *options,
                             const struct command_line *line, struct talc_error *err) {
    struct atomic_folder folder;
    if (!atomic_folder_open(&folder, t->out, &tokenizer_folder, err)) return false;
    struct tokenizer *tok = learn(t, options, line, err);
    bool ok = fill_folder(&folder, tok, err) && report(t, tok, err);
    tokenizer_free(tok);
    return ok;
}

static int train(struct training *t, const struct command_line *line) {
    struct talc_error err = {0};
    bool characters = strcmp(t->type, "char") == 0;
    struct tokenizer_train_options options = tokenizer_train_defaults(characters);
    if (!t->out) return cli_usage("tokenizer train", "needs --out DIR");
    if (!pretokenizer_from_name(t->pattern, &options.pretokenizer))
        return cli_usage("tokenizer train",
                         "--pattern is qwen2, gpt2, cl100k, llama3, o200k, tekken, qwen35 or nanochat, not '%s'",
                         t->pattern);
    if (t->specials.n) {
        options.special_tokens = t->specials.items;
        options.n_special_tokens = (size_t)t->specials.n;
    }
    options.vocab_size = (int32_t)t->vocab_size;
    options.min_count = t->min_count;
    t->allowed = t->max_memory ? (size_t)t->max_memory << 20 : memory_available();
    options.max_memory = t->allowed;
    options.progress = on_merges;
    options.progress_context = t;
    options.pool = thread_pool_open((int)t->threads, &err);
    t->stop = cli_catch_interrupt();
    bool ok = options.pool && train_from_files(t, &options, line, &err);
    thread_pool_close(options.pool);
    if (ok) return EXIT_DONE;
    int code = cli_fail("tokenizer train", &err);
    return *t->stop ? EXIT_INTERRUPTED : code;
}

static int run_train(int argc, char **argv) {
    struct training t = {.type = "bpe", .pattern = "qwen2", .vocab_size = 8192};
    /* clang-format off */
    struct option options[] = {
        {.name = "out", .kind = OPTION_TEXT, .value = &t.out, .argument = "DIR", .help = "folder for the tokenizer"},
        {.name = "vocab-size",
         .kind = OPTION_INT,
         .value = &t.vocab_size,
         .argument = "N",
         .help = "tokens, special tokens included (default 8192)",
         .min = 257,
         .max = 4194304},
        {.name = "type",
         .kind = OPTION_TEXT,
         .value = &t.type,
         .argument = "TYPE",
         .choices = "bpe|char",
         .help = "bpe (default), or char: one token a character"},
        {.name = "pattern",
         .kind = OPTION_TEXT,
         .value = &t.pattern,
         .argument = "NAME",
         .help = "how words are cut: qwen2 (default), gpt2, cl100k, llama3, o200k, tekken, qwen35, nanochat"},
        {.name = "special",
         .kind = OPTION_LIST,
         .value = &t.specials,
         .argument = "TEXT",
         .help = "a special token, may be repeated (default: <|endoftext|> and those of a chat; char: none)"},
        {.name = "min-count",
         .kind = OPTION_INT,
         .value = &t.min_count,
         .argument = "N",
         .help = "do not merge pairs that are seen less often",
         .min = 0,
         .max = 1e15},
        {.name = "max-memory",
         .kind = OPTION_INT,
         .value = &t.max_memory,
         .argument = "MIB",
         .help = "refuse what takes more (default: what the machine has left)",
         .min = 1,
         .max = 1 << 30},
        {.name = "allow-invalid",
         .kind = OPTION_FLAG,
         .value = &t.allow_invalid,
         .help = "replace bytes that are not UTF-8 instead of failing"},
        {.name = "json", .kind = OPTION_FLAG, .value = &t.json, .help = "the result as one JSON object"},
        {.name = "quiet", .letter = 'q', .kind = OPTION_FLAG, .value = &t.quiet, .help = "no progress"},
        {.name = "threads",
         .kind = OPTION_INT,
         .value = &t.threads,
         .argument = "N",
         .help = "threads to use (default: one per core)",
         .min = 1,
         .max = 4096},
    };
    /* clang-format on */
    struct command_line line = {.command = "tokenizer train",
                                .summary = "learn a tokenizer from text files",
                                .arguments = "FILE...",
                                .example = "talc tokenizer train --vocab-size 8192 --out tok/ book.txt more.jsonl.zst",
                                .options = options,
                                .n_options = OPTIONS_COUNT(options),
                                .min_operands = 1,
                                .max_operands = -1};
    int code = options_parse(&line, argc, argv);
    if (code >= 0) return code;
    code = train(&t, &line);
    options_free(&line);
    return code;
}

/* ==== encode, decode, show: from stdin to stdout ============================================== */

struct use {
    const char *tokenizer;
    bool json, no_special, offsets;
};

static bool read_stdin(struct buffer *text, struct talc_error *err) {
    char block[65536];
    for (size_t n; (n = fread(block, 1, sizeof block, stdin)) > 0;) buffer_append(text, block, n);
    if (ferror(stdin)) return talc_fail_errno(err, "cannot read from standard input");
    return buffer_ok(text) || talc_fail(err, "out of memory for the text on standard input");
}

static bool flush_stdout(struct talc_error *err) {
    return (fflush(stdout) == 0 && !ferror(stdout)) || talc_fail_errno(err, "cannot write to standard output");
}

static bool encode(const struct use *use, const struct tokenizer *tok, const struct buffer *text,
                   struct talc_error *err) {
    struct token_list ids = {0};
    bool ok = tokenizer_encode(tok, text->data, text->length, !use->no_special, &ids, err);
    size_t *begins = use->offsets ? malloc((ids.count + 1) * sizeof *begins) : NULL;
    if (ok && use->offsets)
        ok = begins ? tokenizer_offsets(tok, text->data, text->length, ids.ids, ids.count, begins, err)
                    : talc_fail(err, "out of memory for offsets");
    if (ok && use->json) putchar('[');
    for (size_t i = 0; ok && i < ids.count; i++) {
        fputs(i == 0 ? "" : use->json ? ", " : " ", stdout);
        if (begins)
            printf(use->json ? "[%d, %zu, %zu]" : "%d:%zu-%zu", (int)ids.ids[i], begins[i], begins[i + 1]);
        else
            printf("%d", (int)ids.ids[i]);
    }
    if (ok) puts(use->json ? "]" : "");
    free(begins);
    token_list_free(&ids);
    return ok;
}

/* Ids as `encode` writes them, with or without --json: numbers between spaces, commas and brackets. */
static bool parse_ids(const struct buffer *text, struct token_list *ids, struct talc_error *err) {
    for (size_t i = 0; i < text->length;) {
        const char *at = text->data + i;
        if (isspace((unsigned char)*at) || (*at && strchr(",[]", *at))) {
            i++;
            continue;
        }
        char *end;
        errno = 0;
        long id = strtol(at, &end, 10);
        if (end == at || errno || id < 0 || id > INT32_MAX) {
            size_t n = strcspn(at, " \t\r\n,[]");
            return talc_fail(err, "standard input, byte %zu: '%.*s' is no token id", i, n < 24 ? (int)n : 24, at);
        }
        if (!token_list_append(ids, (int32_t)id)) return talc_fail(err, "out of memory for token ids");
        i = (size_t)(end - text->data);
    }
    return true;
}

static bool decode(const struct use *use, const struct tokenizer *tok, const struct buffer *text,
                   struct talc_error *err) {
    struct token_list ids = {0};
    struct buffer out = {0};
    bool ok = parse_ids(text, &ids, err) && tokenizer_decode(tok, ids.ids, ids.count, use->no_special, &out, err);
    if (ok && out.length) cli_print_text(stdout, out.data, out.length);
    buffer_free(&out);
    token_list_free(&ids);
    return ok;
}

/* Tabs and line ends are shown too; a line end ends the colour. */
static void print_token(const char *bytes, size_t n, const char *reset) {
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i; end < n && bytes[end] != '\n' && bytes[end] != '\t'; end++) continue;
        cli_print_visible(stdout, bytes + i, end - i);
        if (end == n) return;
        if (bytes[end++] == '\n')
            printf("\u21b5%s\n", reset);
        else
            fputs("<09>", stdout);
    }
}

/* Tokens on changing backgrounds, special ones inverted; without colours a bar between them. */
static bool show(const struct use *use, const struct tokenizer *tok, const struct buffer *text,
                 struct talc_error *err) {
    static const char *const colours[] = {"\033[30;48;5;152m", "\033[30;48;5;223m", "\033[30;48;5;182m",
                                          "\033[30;48;5;151m"};
    bool colour = cli_colour(1);
    const char *reset = colour ? "\033[0m" : "";
    struct token_list ids = {0};
    if (!tokenizer_encode(tok, text->data, text->length, !use->no_special, &ids, err)) return false;
    for (size_t i = 0; i < ids.count; i++) {
        size_t n;
        const char *bytes = tokenizer_token_bytes(tok, ids.ids[i], &n);
        fputs(!colour ? (i ? "|" : "") : tokenizer_is_special(tok, ids.ids[i]) ? "\033[7m" : colours[i % 4], stdout);
        print_token(bytes, n, reset);
        fputs(reset, stdout);
    }
    putchar('\n');
    fprintf(stderr, "%zu tokens, %zu bytes, %.2f bytes a token (%s, %d tokens in the vocabulary)\n", ids.count,
            text->length, ids.count ? (double)text->length / (double)ids.count : 0.0, tokenizer_description(tok),
            (int)tokenizer_vocab_size(tok));
    token_list_free(&ids);
    return true;
}

struct subcommand {
    const char *name, *command, *summary, *example, *no_special_help;
    bool (*run)(const struct use *use, const struct tokenizer *tok, const struct buffer *text, struct talc_error *err);
};

static const struct subcommand subcommands[] = {
    {"encode", "tokenizer encode", "token ids of the text on standard input",
     "talc tokenizer encode -t tok/ < book.txt", "special tokens written in the text are plain text", encode},
    {"decode", "tokenizer decode", "the text of token ids on standard input",
     "echo 1 2 3 | talc tokenizer decode -t tok/", "leave special tokens out", decode},
    {"show", "tokenizer show", "the text on standard input, with its tokens coloured",
     "talc tokenizer show -t tok/ < book.txt", "special tokens written in the text are plain text", show},
};

static int use_tokenizer(const struct subcommand *sub, const struct use *use) {
    struct talc_error err = {0};
    struct buffer text = {0};
    if (!use->tokenizer) return cli_usage(sub->command, "needs -t TOK, a tokenizer's folder or file");
    struct tokenizer *tok = tokenizer_load(use->tokenizer, &err);
    bool ok = tok && read_stdin(&text, &err) && sub->run(use, tok, &text, &err) && flush_stdout(&err);
    tokenizer_free(tok);
    buffer_free(&text);
    return ok ? EXIT_DONE : cli_fail(sub->command, &err);
}

static int run_subcommand(const struct subcommand *sub, int argc, char **argv) {
    struct use use = {0};
    /* clang-format off */
    struct option options[] = {
        {.name = "tokenizer",
         .letter = 't',
         .kind = OPTION_TEXT,
         .value = &use.tokenizer,
         .argument = "TOK",
         .help = "a folder, or a tokenizer.json, GGUF, SentencePiece or .tiktoken file"},
        {.name = "no-special", .kind = OPTION_FLAG, .value = &use.no_special, .help = sub->no_special_help},
        {.name = "json", .kind = OPTION_FLAG, .value = &use.json, .help = "the ids as a JSON array"},
        {.name = "offsets",
         .kind = OPTION_FLAG,
         .value = &use.offsets,
         .help = "with each id the bytes of text that it stands for: ID:BEGIN-END"},
    };
    /* clang-format on */
    struct command_line line = {.command = sub->command,
                                .summary = sub->summary,
                                .arguments = "",
                                .example = sub->example,
                                .options = options,
                                .n_options = OPTIONS_COUNT(options) - 2 * (sub->run != encode)};
    int code = options_parse(&line, argc, argv);
    if (code >= 0) return code;
    code = use_tokenizer(sub, &use);
    options_free(&line);
    return code;
}

/* ==== convert: from one format to another ===================================================== */

/* A vocabulary may be replaced; a model, or what is no GGUF, not. */
static bool may_replace_gguf(const char *path, struct talc_error *err) {
    struct stat st;
    struct gguf_file file;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) return true; /* what is no file is refused by whoever writes */
    bool is_gguf = gguf_open(&file, path, NULL);
    size_t n_tensors = is_gguf ? file.n_tensors : 0;
    if (is_gguf) gguf_close(&file);
    if (!is_gguf) return talc_fail(err, "%s: is there, and is no GGUF vocabulary; choose another name", path);
    return n_tensors == 0 || talc_fail(err, "%s: holds a model, which would be lost; choose another name", path);
}

static bool convert(const char *from, const char *to, struct talc_error *err) {
    size_t n = strlen(to);
    bool gguf = n > 5 && strcmp(to + n - 5, ".gguf") == 0;
    if (gguf ? !may_replace_gguf(to, err) : !folder_may_take(to, &tokenizer_folder, err)) return false;
    struct tokenizer *tok = tokenizer_load(from, err);
    bool ok = tok && (gguf ? tokenizer_save_gguf(tok, to, err) : save_folder(tok, to, err));
    if (ok) printf("%s: %s, %d tokens\n", to, tokenizer_description(tok), (int)tokenizer_vocab_size(tok));
    tokenizer_free(tok);
    return ok;
}

static int run_convert(int argc, char **argv) {
    const char *from = NULL;
    /* clang-format off */
    struct option options[] = {
        {.name = "tokenizer",
         .letter = 't',
         .kind = OPTION_TEXT,
         .value = &from,
         .argument = "TOK",
         .help = "a folder, or a tokenizer.json, GGUF, SentencePiece or .tiktoken file"},
    };
    /* clang-format on */
    struct command_line line = {.command = "tokenizer convert",
                                .summary = "write a tokenizer as NAME.gguf, or as a Hugging Face folder",
                                .arguments = "OUT",
                                .example = "talc tokenizer convert -t tokenizer.json vocab.gguf",
                                .options = options,
                                .n_options = OPTIONS_COUNT(options),
                                .min_operands = 1,
                                .max_operands = 1};
    struct talc_error err = {0};
    int code = options_parse(&line, argc, argv);
    if (code >= 0) return code;
    if (!from)
        code = cli_usage("tokenizer convert", "needs -t TOK, a tokenizer's folder or file");
    else
        code = convert(from, line.operands[0], &err) ? EXIT_DONE : cli_fail("tokenizer convert", &err);
    options_free(&line);
    return code;
}

/* ==== talc tokenizer ====================================================== */

static void print_usage(void) {
    printf("talc tokenizer: train a tokenizer; encode, decode and show text with one; write it in another format\n\n"
           "  talc tokenizer train   --out DIR FILE...  learn a tokenizer from text files\n");
    for (size_t i = 0; i < sizeof subcommands / sizeof *subcommands; i++)
        printf("  talc tokenizer %-7s -t TOK            %s\n", subcommands[i].name, subcommands[i].summary);
    printf("  talc tokenizer convert -t TOK OUT        write it as NAME.gguf, or as a Hugging Face folder\n"
           "\nEach explains itself with --help.\n");
}

int cmd_tokenizer(int argc, char **argv) {
    const char *name = argc > 0 ? argv[0] : "";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        print_usage();
        return EXIT_DONE;
    }
    if (strcmp(name, "train") == 0) return run_train(argc - 1, argv + 1);
    if (strcmp(name, "convert") == 0) return run_convert(argc - 1, argv + 1);
    for (size_t i = 0; i < sizeof subcommands / sizeof *subcommands; i++)
        if (strcmp(name, subcommands[i].name) == 0) return run_subcommand(&subcommands[i], argc - 1, argv + 1);
    const char *verbs = "train, encode, decode, show or convert; see talc tokenizer --help";
    return *name ? cli_usage("tokenizer", "has no verb '%s': there are %s", name, verbs)
                 : cli_usage("tokenizer", "needs a verb: %s", verbs);
}
