// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * snapshot - go half the way to hibernation, and come back.
 *
 * Freezes processes and devices, takes a snapshot of memory as for suspend to
 * disk, throws it away, and thaws. Drivers see freeze and thaw. Prints the
 * image's size in bytes.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/suspend_ioctls.h>

int main(void)
{
	int fd = open("/dev/snapshot", O_RDONLY), in_suspend = 0, ret = 1;
	__kernel_loff_t size = 0;

	if (fd < 0) {
		perror("snapshot: /dev/snapshot");
		return 2;
	}
	if (ioctl(fd, SNAPSHOT_FREEZE, 0)) {
		perror("snapshot: freeze");
		return 1;
	}
	if (ioctl(fd, SNAPSHOT_CREATE_IMAGE, &in_suspend))
		perror("snapshot: create");
	else if (ioctl(fd, SNAPSHOT_GET_IMAGE_SIZE, &size))
		perror("snapshot: size");
	else
		ret = 0;
	if (ioctl(fd, SNAPSHOT_FREE) || ioctl(fd, SNAPSHOT_UNFREEZE)) {
		perror("snapshot: unfreeze");
		ret = 1;
	}
	printf("%lld\n", (long long)size);
	return ret;
}
