#!/bin/sh
# The usual shell script: curl, eight items at a time.
#
#     sh _peer_curl.sh BASE_URL ITEMS FOLDER
#
# A file that exists is not made again: what such scripts have for a restart.
export BASE="$1" FOLDER="$3"

seq 0 $(($2 - 1)) | xargs -P 8 -I '{}' sh -ec '
  number={} file="$FOLDER/{}.png" key="Authorization: Bearer sk-bench"
  [ ! -e "$file" ] || exit 0
  body="{\"workflowId\": \"card\", \"params\": {\"6\": {\"text\": \"a horse, number $number\"}}}"
  task=$(curl -sS -H "$key" -H "Content-Type: application/json" -d "$body" \
    "$BASE/v1/comfyui/create" | sed -n "s/.*\"taskId\": \"\([^\"]*\)\".*/\1/p")
  until curl -sS -H "$key" "$BASE/v1/comfyui/tasks/$task/status" | grep -q COMPLETED; do
    sleep 1
  done
  url=$(curl -sS -H "$key" "$BASE/v1/comfyui/tasks/$task/result" |
    sed -n "s/.*\"urls\": \[\"\([^\"]*\)\".*/\1/p")
  curl -sS -o "$file" "$url"'
