/* run_folder.h - where the model is in a folder that a user names: in it, or in the best or the latest checkpoint of a
 * run. */
#ifndef TALC_FILE_RUN_FOLDER_H
#define TALC_FILE_RUN_FOLDER_H

#include <stdbool.h>

#include "base/error.h"

/* `path` itself when it holds a config.json; else its `best`, else its `latest`. latest_first, for resuming: `latest`,
 * which must be whole where it is there; then `best`. The caller frees; NULL when there is none. */
char *run_folder_find_model(const char *path, bool latest_first, struct talc_error *err);

#endif
