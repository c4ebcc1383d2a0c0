# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Completion of ballastctl(1).

_ballastctl_guests()
{
	virsh -q -r list --name 2>/dev/null
}

_ballastctl()
{
	local commands="list show explain status set pause resume release doctor
		replay metrics"
	local options="--json --socket --config --qmp --all --version --help"
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
	local command="" i

	case $before in
	-s | --socket | -c | --config)
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
		;;
	esac
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-s | --socket | -c | --config) i=$((i + 1)) ;;
		-*) ;;
		*) command=${COMP_WORDS[i]}; break ;;
		esac
	done
	case $word,$command in
	-*) mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word") ;;
	*,) mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word") ;;
	*,replay) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
	*,show | *,explain | *,set | *,pause | *,resume | *,release | *,doctor)
		mapfile -t COMPREPLY < <(compgen -W "$(_ballastctl_guests)" -- "$word") ;;
	esac
}
complete -F _ballastctl ballastctl
