# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Completion of ballastctl(1).

# _ballastctl_guests WORD [OPTION...]: those of the ballastd that OPTIONs say.
_ballastctl_guests()
{
	local word=$1 name

	shift
	# Not compgen -W, which would expand what is in a name.
	while IFS= read -r name; do
		[[ $name != "$word"* ]] || COMPREPLY+=("$(printf %q "$name")")
	done < <(ballastctl "$@" list --json 2>/dev/null |
		sed -n 's/^ *"name": *"\(.*\)",\{0,1\}$/\1/p')
}

_ballastctl()
{
	local commands="list show explain status set pause resume release doctor
		replay metrics"
	local options="--json --socket --config"
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
	local where=() command="" all="" given=0 i

	COMPREPLY=()
	# "--socket=PATH" comes as three words.
	if [ "$word" = = ]; then
		word=
	elif [ "$before" = = ]; then
		before=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	case $before in
	-s | --socket | -c | --config)
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
		;;
	esac
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-s | --socket | -c | --config)
			where+=("${COMP_WORDS[i]}")
			i=$((i + 1))
			[ "${COMP_WORDS[i]}" != = ] || i=$((i + 1))
			where+=("${COMP_WORDS[i]/#\~\//$HOME/}")
			;;
		--all) all=1 ;;
		-*) ;;
		*)
			[ -z "$command" ] || given=$((given + 1))
			command=${command:-${COMP_WORDS[i]}}
			;;
		esac
	done
	case $command in
	"") options+=" --all --qmp --version --help" ;;
	pause | resume | release) [ $given != 0 ] || options+=" --all" ;;
	doctor) options+=" --qmp" ;;
	esac
	case $word,$command,$given$all in
	-*) mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word") ;;
	*,,*) mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word") ;;
	*,replay,0) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
	*,doctor,* | *,show,0 | *,explain,0 | *,set,0 | *,pause,0 | *,resume,0 | \
		*,release,0)
		_ballastctl_guests "$word" "${where[@]}"
		;;
	esac
}
complete -F _ballastctl ballastctl
