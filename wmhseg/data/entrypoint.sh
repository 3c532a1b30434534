#!/bin/bash
# First process of the container. One image, three ways to call it:
#
#   docker run -v CASE:/input:ro -v OUT:/output IMAGE    segments the case and exits
#   docker run -dit … IMAGE; docker exec ID wmhseg       a shell that stays, as the challenge used it
#   docker run … IMAGE segment --flair …                 a wmhseg command, or a program of the image
#
# The first half is the entry point; the second is the start-up file of the interactive shell.

if [[ $- != *i* ]]; then
    set -euo pipefail
    if [[ $# -eq 0 && -t 0 ]]; then
        exec bash --noprofile --rcfile "${BASH_SOURCE[0]}" -i
    elif [[ $# -gt 0 && $1 != -* ]] && type -P -- "$1" >/dev/null; then
        exec "$@"
    else
        # Options, commands and typing errors alike: wmhseg knows its commands, this file does not.
        exec wmhseg "$@"
    fi
fi

# An interactive shell ignores SIGTERM: `docker stop` would wait ten seconds, then kill it.
trap 'exit 0' TERM
PS1='wmhseg:\w\$ '
cat <<'END'
"wmhseg" segments /input/pre/FLAIR.nii.gz and T1.nii.gz into /output; "wmhseg --help" has the rest.
END
