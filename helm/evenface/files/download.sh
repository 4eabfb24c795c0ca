# Fetches bundles into $MODELS. Arguments: URL, SHA-256, URL, SHA-256, …
# Each is a tar archive, compressed or not, with NAME/VERSION in it. With S3_REGION, requests are
# signed with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
archive="$SCRATCH/bundle"
set -- "$@" end
while [ "$1" != end ]; do
  url=$1 digest=$2
  shift 2
  echo "fetching $url"
  if [ -n "${S3_REGION:-}" ]; then
    # By standard input, so that no list of processes shows the keys.
    printf 'user = "%s:%s"\n' "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" |
      curl --config - --aws-sigv4 "aws:amz:$S3_REGION:s3" --header "x-amz-content-sha256: UNSIGNED-PAYLOAD" \
        --fail --silent --show-error --location --retry 5 --output "$archive" "$url"
  else
    curl --fail --silent --show-error --location --retry 5 --output "$archive" "$url"
  fi
  found=$(sha256sum "$archive" | cut -d ' ' -f 1)
  if [ "$found" != "$digest" ]; then
    echo "error: $url has SHA-256 $found, not $digest" >&2
    exit 1
  fi
  tar -x -f "$archive" -C "$MODELS"
  rm "$archive"
done
