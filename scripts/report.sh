#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# report.sh [JSON [FOLDER]]: PERFORMANCE.md and its plots in docs/ from what the
# benchmark has written, build/out/bench.json. Nothing is measured here.

. "$(dirname "$0")/lib.sh"

json=${1:-$OUT/bench.json}
to=${2:-$TOP/docs}

[ -r "$json" ] || die "no results: ${json#"$TOP"/} is not there; run 'make bench'"
jq -e '.environment and (.cases | length > 0)' "$json" >/dev/null 2>&1 ||
	die "not what the benchmark writes: $json; run 'make bench'"
command -v gnuplot >/dev/null || die "gnuplot not found; run 'make report'"

# report FIGURE: the data of a plot, or the page if it is empty.
report() { jq -r --arg plot "$1" -f "$TOP/scripts/report.jq" "$json"; }

# draw FIGURE UNIT: bars of the median, from the least to the greatest.
draw()
{
	report "$1" >"$work/data"
	gnuplot <<-END >"$work/svg" || die "gnuplot fails on $1"
		set terminal svg size 800,360 font "sans,11" background "white"
		set style data histogram
		set style histogram errorbars gap 1 lw 1
		set style fill solid 0.8 border -1
		set datafile missing "?"
		set ylabel "$2" noenhanced
		set yrange [0:*]
		set grid ytics
		set key outside top center horizontal noenhanced
		set xtics noenhanced rotate by -20
		plot for [i=2:$(head -n 1 "$work/data" | grep -o '"[^"]*"' |
			wc -l):3] "$work/data" \
			using i:i+1:i+2:xtic(1) title columnheader(i)
	END
	sed '1a <!-- SPDX-License-Identifier: GPL-2.0-or-later -->' \
		"$work/svg" >"$work/performance/$1.svg"
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/performance"
jq -r '(.runs | map(.name) | unique) as $have | .cases[].figures[] |
	select(.plot and ([.name] - $have == [])) | [.name, .unit] | @tsv' \
	"$json" >"$work/plots"
while IFS=$'\t' read -r figure unit; do
	draw "$figure" "$unit"
done <"$work/plots"
report '' >"$work/PERFORMANCE.md"

rm -rf "$to/performance"
mv "$work/performance" "$work/PERFORMANCE.md" "$to/"
say "in ${to#"$TOP"/}/PERFORMANCE.md and ${to#"$TOP"/}/performance/"
