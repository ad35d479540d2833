#!/bin/sh
# Writes C source that holds the given .tsv files as texts, for src/plan/tables.h.
set -eu
echo '/* Made by scripts/embed_tables.sh from src/plan/tables/. */'
echo '#include "plan/tables.h"'
echo '#include <stddef.h>'
for f in "$@"; do
    printf 'static const char table_%s[] =\n' "$(basename "$f" .tsv)"
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/	/\\t/g' -e 's/^/    "/' -e 's/$/\\n"/' "$f"
    echo '    ;'
done
echo 'const struct plan_table_text plan_tables[] = {'
for f in "$@"; do n=$(basename "$f" .tsv); echo "    {\"$n\", table_$n},"; done
echo '    {NULL, NULL},'
echo '};'
