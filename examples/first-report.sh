#!/usr/bin/env bash
# A first report: import it, look at its findings, move one through its life, see the gate, import it again.
#
#   examples/first-report.sh [report [format]]
#
# Needs a running Standalone (dotnet run --project Wave16.Standalone), bash and curl.
#   WAVE16_URL   where it listens             (http://localhost:5016)
#   SERVICE      the service that was scanned (shop-api)
set -euo pipefail

url=${WAVE16_URL:-http://localhost:5016}
service=${SERVICE:-shop-api}
report=${1:-$(dirname "$0")/../modules/vuln-center/fixtures/trivy-shop-api.json}
format=${2:-auto}

say() { printf '\n== %s\n' "$*"; }
die() { printf '%s\n' "$*" >&2; exit 1; }

# first NAME JSON: the first value of the member NAME, unquoted.
first() { sed -E 's/.*/&/;s/\\"/\x27/g' <<<"$2" | grep -oE "\"$1\":(\"[^\"]*\"|[^],}]*)" | head -n 1 | sed -E "s/^\"$1\"://;s/^\"//;s/\"$//"; }

# encoded TEXT: as it stands in an address.
encoded() {
  local LC_ALL=C text=$1 i
  for ((i = 0; i < ${#text}; i++)); do
    case "${text:i:1}" in [a-zA-Z0-9._~-]) printf '%s' "${text:i:1}" ;; *) printf '%%%02X' "'${text:i:1}" ;; esac
  done
}

# call METHOD PATH [curl options]: prints the body; fails loudly on an error status.
call() {
  local method=$1 path=$2 answer status
  shift 2
  answer=$(curl -sS -X "$method" -H "Authorization: Bearer $token" -w '\n%{http_code}' "$@" "$url$path") || die "Nothing answers at $url. Start it: dotnet run --project Wave16.Standalone"
  status=${answer##*$'\n'}
  answer=${answer%$'\n'*}
  case "$status" in 2*) printf '%s' "$answer" ;; *) die "$method $path answered $status: $answer" ;; esac
}

[ -f "$report" ] && [ -r "$report" ] || die "Cannot read $report"
token=""
curl -sS -o /dev/null "$url/alive" 2>/dev/null || die "Nothing answers at $url. Start it: dotnet run --project Wave16.Standalone"

say "A development token for tenant 'demo'"
answer=$(call POST /dev/token -H 'Content-Type: application/json' -d '{"tenant":"demo","subject":"first-report","roles":["operator","auditor"]}')
token=$(first access_token "$answer")
[ -n "$token" ] || die "No token in: $answer"
echo "${token:0:24}…"

counts() {
  set -- "${1#*\"result\":}"
  printf 'observations %s = new %s + matched %s + reopened %s + rejected %s; findings changed %s\n' \
    "$(first observations "$1")" "$(first new "$1")" "$(first matched "$1")" "$(first reopened "$1")" "$(first rejected "$1")" "$(first findingsChanged "$1")"
}
# import [parameters]: the import's answer, once it has come to its end.
import() {
  local answer id
  answer=$(call POST "/findings/imports?format=$format&service=$(encoded "$service")${1:-}" -H 'Content-Type: application/json' --data-binary "@$report") || exit 1
  id=$(first id "$answer")
  until [[ "$(first state "$answer")" =~ ^(succeeded|failed|cancelled)$ ]]; do
    sleep 1
    answer=$(call GET "/findings/imports/$id") || exit 1
  done
  [ "$(first state "$answer")" = succeeded ] || die "The import $(first state "$answer"): $answer"
  printf '%s' "$answer"
}

say "Import $report as $format for $service"
imported=$(import)
counts "$imported"

say "The worst findings"
worst=$(call GET "/findings?service=$(encoded "$service")&source=$(encoded "$(first source "$imported")")&limit=5")
grep -oE '"severity":"[a-z]+"|"title":"([^"\\]|\\.)*"' <<<"$worst" | sed -E 's/^"(title|severity)":"(.*)"$/\2/' | paste -d '|' - - | awk -F'|' '{ printf "  %-9s %s\n", $2, $1 }'
finding=$(first id "$worst")
[ -n "$finding" ] || { echo "  none: the report holds no findings"; exit 0; }
severity=$(first severity "$worst")

say "One of them, through its life: $finding ($severity)"
move() {
  local tag
  tag=$(curl -sS -o /dev/null -D - -H "Authorization: Bearer $token" "$url/findings/$finding" | tr -d '\r' | sed -nE 's/^etag: (.*)$/\1/Ip')
  call POST "/findings/$finding/status" -H "If-Match: $tag" -H 'Content-Type: application/json' -d "$1" >/dev/null
  echo "  now $(first status "$(call GET "/findings/$finding")")"
}
gate() {
  local key status
  key=$(encoded "vuln:$service:$finding")
  for _ in $(seq 1 50); do
    status=$(curl -sS -o /dev/null -w '%{http_code}' -H 'Tenant-Id: demo' "$url/neighbours/safety-console/gates/$key")
    [ "$status" = "$1" ] && break
    sleep 0.1
  done
  case "$status" in 200) echo "  safety-console: the gate is up" ;; 404) echo "  safety-console: no gate" ;; *) echo "  safety-console answered $status" ;; esac
}
current=$(first status "$(call GET "/findings/$finding")")
if [ "$current" != open ]; then
  move '{"status":"open","reason":"the example starts over"}'
fi
[ "$severity" = critical ] && gate 200
move '{"status":"triaged","reason":"reachable from the internet"}'
move '{"status":"fixed","reason":"upgraded in shop-api 2.4.1"}'
[ "$severity" = critical ] && gate 404
# Proof is what was attached after the fix: the same bytes again would be those of an earlier run.
attached=$(call POST "/findings/$finding/artifacts" -F 'file=@-;filename=retest.txt;type=text/plain' -F 'note=retested after the fix' <<<"Retested at $(date -u +%Y-%m-%dT%H:%M:%SZ): not reproducible.")
echo "  attached $(first name "$attached")"
move "{\"status\":\"verified\",\"evidence\":{\"sha256\":\"$(first sha256 "$attached")\"}}"

say "The same report again, as of a scan of now: it still shows that finding, so it opens again; nothing else changes"
sleep 1 # a scan that began before the fix would say nothing of it
again=$(import "&scannedAt=$(date -u +%Y-%m-%dT%H:%M:%SZ)")
counts "$again"
echo "  now $(first status "$(call GET "/findings/$finding")"), regression $(first regression "$(call GET "/findings/$finding")")"

say "And once more: nothing changes at all"
again=$(import "&scannedAt=$(date -u +%Y-%m-%dT%H:%M:%SZ)")
counts "$again"
again=${again#*\"result\":}
[ "$(first new "$again")$(first reopened "$again")$(first findingsChanged "$again")" = 000 ] || die "Something changed."

say "The audit log, sealed and verified"
audit=$(call GET /audit/vuln-center/verify)
echo "  intact $(first intact "$audit"): $(first leavesChecked "$audit") entries checked, $(first treeSize "$audit") sealed under the root $(first rootHash "$audit")"
[ "$(first intact "$audit")" = true ] || die "$audit"
