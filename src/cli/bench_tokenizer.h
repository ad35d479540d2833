/* bench_tokenizer.h - talc bench tokenizer: how fast a tokenizer opens, encodes and decodes a text. */
#ifndef TALC_CLI_BENCH_TOKENIZER_H
#define TALC_CLI_BENCH_TOKENIZER_H

int bench_tokenizer(int argc, char **argv); /* what follows "tokenizer"; returns an exit code */

#endif
