/* run_folder.h - where the model is that a user names: in a folder, or in the best or the latest checkpoint of a run,
 * or in a GGUF file. */
#ifndef TALC_FILE_RUN_FOLDER_H
#define TALC_FILE_RUN_FOLDER_H

#include <stdbool.h>

#include "base/error.h"

/* `path` itself when it holds a config.json or is a GGUF file; else its `best`, else its `latest`. latest_first, for
 * resuming: `latest`, which must be whole where it is there; then `best`; no file. The caller frees; NULL when there is
 * none. */
char *run_folder_find_model(const char *path, bool latest_first, struct talc_error *err);

#endif
