#!/usr/bin/env bash
# A user's first hour: what the README says, in its order, in environments made as it says, and a
# look into everything that comes out. Run by "make test", before anything else is installed.
#
#   tests/first_hour.sh [KEEP]     KEEP: a folder for the outputs; default: one that is removed
#
# "make demo" fills .venv, or the folder $VENV. The synthetic case is segmented twice, and a quarter
# of its slices three times: what is shown there does not depend on their number.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=${1:-}
if [ -z "$work" ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi
mkdir -p "$work"
work=$(cd "$work" && pwd)
unset PYTHONPATH WMHSEG_MODELS WMHSEG_SHARED
export XDG_DATA_HOME=$work/home TF_CPP_MIN_LOG_LEVEL=3
SECONDS=0

step() { printf '%4d s  %s\n' "$SECONDS" "$*"; }

# Runs a command that must fail: with this code, and one line that holds this text.
refused() {
    local code=$1 text=$2 status=0
    shift 2
    "$@" >"$work/stdout" 2>"$work/stderr" || status=$?
    if [ "$status" != "$code" ] || [ "$(wc -l <"$work/stderr")" != 1 ] \
        || ! grep -qF -- "$text" "$work/stderr"; then
        echo "first hour: $* ended with $status, not with $code and \"$text\":" >&2
        cat "$work/stderr" >&2
        exit 1
    fi
}

cd "$root"
step "make demo"
make --no-print-directory demo OUT="$work"
bin=$(cd "${VENV:-.venv}/bin" && pwd)

step "what that environment has beside the demo: training, and the evaluation"
cd "$work"
mkdir -p cases/demo
cp -r demo/input/. cases/demo
"$bin/wmhseg" train --data cases --check --output "$work/checked" >checked.txt
(cd "$root" && "$bin/python" -m evaluation.run --help >"$work/evaluation.txt")

step "pip install '.[openvino,plots]', in an environment of its own"
"${PYTHON:-python3}" -m venv env
(cd "$root" && "$work/env/bin/pip" install --quiet --disable-pip-version-check '.[openvino,plots]')
PATH=$work/env/bin:$PATH
cp demo/input/pre/FLAIR.nii.gz demo/input/pre/T1.nii.gz .
wmhseg --version
eval "$(wmhseg completion bash)"

step "wmhseg segment"
wmhseg segment --flair FLAIR.nii.gz --t1 T1.nii.gz --output wmh.nii.gz \
    --probability p.nii.gz --overlay wmh.png >segment.txt

step "a quarter of the slices, for what follows"
python - <<'PYTHON'
from pathlib import Path

import SimpleITK as sitk

for name in ("pre/FLAIR", "pre/T1", "wmh"):
    path = Path("quarter/demo", f"{name}.nii.gz")
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.ReadImage(f"demo/input/{name}.nii.gz")[:, :, 16:28], str(path))
PYTHON

step "wmhseg segment, FLAIR alone"
wmhseg segment --flair quarter/demo/pre/FLAIR.nii.gz --output alone.nii.gz >alone.txt

step "wmhseg check"
wmhseg check FLAIR.nii.gz T1.nii.gz >check.txt
wmhseg check FLAIR.nii.gz --json check.json >/dev/null
refused 80 "nowhere.nii.gz" wmhseg check nowhere.nii.gz

step "wmhseg batch"
wmhseg batch quarter --output batch --dry-run >found.tsv
wmhseg batch quarter --output batch --overlay
wmhseg batch quarter --output batch --overlay # goes on where the first ended: nothing is left to do

step "the Python of the README"
python - <<'PYTHON'
import wmhseg

result = wmhseg.segment("quarter/demo/pre/FLAIR.nii.gz", "quarter/demo/pre/T1.nii.gz")
assert result.mask.shape == result.probability.shape == (12, 240, 240)
assert result.report.lesions.volume_ml > 1
result.save("python.nii.gz")
PYTHON

step "wmhseg models"
wmhseg models >models.txt

step "wmhseg evaluate"
wmhseg evaluate --data quarter --results batch --output scores >scores.txt
wmhseg rank scores/metrics.csv >rank.txt

step "wmhseg train"
wmhseg train --data cases --check --output checked-here >checked-here.txt
refused 110 "pip install '.[tensorflow]'" wmhseg train --data cases --output out

step "what came out"
python "$root/tests/first_hour_outputs.py" "$work"
step "done"
