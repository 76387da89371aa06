#!/usr/bin/env bash
# The last step of action.yml: its inputs as flags of `tabpy-rs connect`. Secrets are in the environment,
# where the command finds them.
set -euo pipefail

arguments=("$INPUT_SERVER" --name "$INPUT_NAME")
if [ -n "${INPUT_SITE:-}" ]; then arguments+=(--site "$INPUT_SITE"); fi
if [ -n "${INPUT_WORKBOOK:-}" ]; then arguments+=(--workbook "$INPUT_WORKBOOK"); fi
if [ "${INPUT_ENABLE_SITE:-}" = true ]; then arguments+=(--enable-site); fi
if [ "${INPUT_DRY_RUN:-}" = true ]; then arguments+=(--dry-run); fi
exec "$TABPY_RS" connect "${arguments[@]}"
