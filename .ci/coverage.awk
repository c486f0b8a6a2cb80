# Sums cobertura files of several test projects: a line is covered when any of them covered it, a branch point counts its best run.
# Prints one row per assembly and the total.
function attribute(name,   m) {
  return match($0, " " name "=\"[^\"]*\"") ? substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 4) : ""
}
/<package / { assembly = attribute("name") }
/<class / { file = attribute("filename") }
/<methods>/ { within = 1 }
/<\/methods>/ { within = 0 }
within && /<line / {
  key = assembly SUBSEP file SUBSEP attribute("number")
  if (!(key in seen)) { seen[key] = assembly; hit[key] = 0; points[key] = 0; taken[key] = 0 }
  if (attribute("hits") > 0) hit[key] = 1
  condition = attribute("condition-coverage")
  if (match(condition, /\([0-9]+\/[0-9]+\)/)) {
    split(substr(condition, RSTART + 1, RLENGTH - 2), part, "/")
    if (part[2] + 0 > points[key]) points[key] = part[2] + 0
    if (part[1] + 0 > taken[key]) taken[key] = part[1] + 0
  }
}
function percent(part, whole) { return whole == 0 ? "     -" : sprintf("%5.1f%%", 100 * part / whole) }
END {
  for (key in seen) {
    a = seen[key]; all[a] = 1
    lines[a]++; covered[a] += hit[key]; branches[a] += points[key]; took[a] += taken[key]
  }
  printf "%-32s %16s %18s\n", "assembly", "lines", "branches"
  for (a in all) {
    printf "%-32s %s %9s %s %11s\n", a, percent(covered[a], lines[a]), covered[a] "/" lines[a], percent(took[a], branches[a]), took[a] "/" branches[a] | "sort"
    l += lines[a]; c += covered[a]; b += branches[a]; t += took[a]
  }
  close("sort")
  printf "%-32s %s %9s %s %11s\n", "total", percent(c, l), c "/" l, percent(t, b), t "/" b
}
