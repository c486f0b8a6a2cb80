#!/usr/bin/env bash
# What the makers of the formats say of what is written here: promtool of the alert rules, the Bicep compiler of azure/*.bicep.
# The compiler is the one on PATH, or the NuGet package of it; where the feed has none, BicepTests are what there is.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.47.16
status=0

if command -v promtool >/dev/null; then
  promtool check rules infra/alerts/*.yaml || status=1
  promtool test rules infra/alerts/tests/*.yaml || status=1
else
  echo 'Alert rules not checked: there is no promtool here (Debian and Ubuntu: prometheus).'
fi

case "$(uname -sm)" in
  'Linux x86_64') platform=linux-x64 ;;
  'Linux aarch64') platform=linux-arm64 ;;
  'Darwin arm64') platform=osx-arm64 ;;
  'Darwin x86_64') platform=osx-x64 ;;
  *) platform=win-x64 ;;
esac
bicep=$(command -v bicep || true)
if [ -z "$bicep" ]; then
  folder=artifacts/bicep/azure.bicep.commandline.$platform/$version/tools
  [ -d "$folder" ] || dotnet package download "Azure.Bicep.CommandLine.$platform@$version" --output artifacts/bicep >/dev/null 2>&1 || true
  bicep=$(find "$folder" -name 'bicep' -o -name 'bicep.exe' 2>/dev/null | head -n 1)
fi
if [ -n "$bicep" ]; then
  chmod +x "$bicep" 2>/dev/null || true
  for file in infra/azure/*.bicep infra/azure/*/*.bicep; do
    # A property that a type does not know is a warning to it, and an error here.
    said=$("$bicep" build "$file" --stdout 2>&1 >/dev/null) || status=1
    [ -z "$said" ] || { printf '%s\n' "$said" >&2; status=1; }
  done
  [ "$status" != 0 ] || echo "Bicep compiles ($("$bicep" --version))."
else
  echo 'Bicep not compiled: there is no bicep on PATH and no Azure.Bicep.CommandLine on the feed.'
fi
exit "$status"
