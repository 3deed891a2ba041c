#!/bin/sh
# A batch: counts words on some node of the fabric; output and exit code come back.
#   examples/batch.sh "to be or not to be"
exec omnitide run --cpu 0.1 --memory 16MiB -- sh -c 'printf "%s\n" "$1" | tr " " "\n" | sort | uniq -c | sort -rn' batch "${1:-to be or not to be}"
