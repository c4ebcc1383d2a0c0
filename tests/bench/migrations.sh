# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Guests that migrate in the middle of inflating and deflating.

MIGRATIONS=$(quick 10 50)

# migrations COLUMN: from QEMU to QEMU, each time while the guest is at a new target
# for its balloon; how many in a row go well.
migrations()
{
	local column=$1

	RANDOM=1
	# shellcheck disable=SC2046
	vm_begin m $(parts "$column") --fpr on --mem 512
	hops m "$MIGRATIONS" "$(column_qemu "$column")"
	put migrations_ok "$column" chain "$HOPS_OK"
	progress "$HOPS_OK of $MIGRATIONS went well${HOPS_WHY:+; $HOPS_WHY}"
	[ -n "$HOPS_WHY" ] || finish m "$column" migrations_ok
	vm_stop_all
}

case_migrations() { each stock modules all -- migrations migrations_ok; }

about_migrations()
{
	cat <<-'END'
		Migration
		A guest goes from one QEMU to the next, each time while its balloon is on its way to
		another target.

		migrations_ok|||Migrations in a row that went well, with contents intact
	END
}

table_migrations()
{
	worst_row migrations_ok migrations "all of them" \
		"$(ours "==" 0 "$MIGRATIONS" "$MIGRATIONS")" min \
		"in a row, each in the middle of inflating or deflating" \
		reference="$MIGRATIONS"
}
