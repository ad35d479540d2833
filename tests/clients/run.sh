#!/bin/sh
# Runs the tests against other people's programs, in a Python environment under build/venv (made on the first run: gigabytes,
# most of them PyTorch). PYTHON names another interpreter that has the packages.
set -eu
cd "$(dirname "$0")/../.."
python=${PYTHON:-build/venv/bin/python}
if ! "$python" -c 'import torch, transformers, tokenizers' 2>/dev/null; then
    python3 -m venv build/venv
    build/venv/bin/pip install --quiet torch transformers tokenizers safetensors jinja2
    python=build/venv/bin/python
fi
status=0
for t in tests/clients/test_*.py; do
    echo "== $t"
    "$python" "$t" || status=1
done
exit $status
