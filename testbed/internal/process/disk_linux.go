package process

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// detach gives the process that cmd starts a user and a mount namespace of its own.
func detach(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	return nil
}

// mount mounts a file system of so many bytes in memory.
func mount(folder string, size int64) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	return syscall.Mount("tmpfs", folder, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=0700,size="+strconv.FormatInt(size, 10))
}

// take makes file as large as its disk allows, but for room bytes. Others may take some meanwhile.
func take(file *os.File, room int64) error {
	for {
		var fs syscall.Statfs_t
		if err := syscall.Fstatfs(int(file.Fd()), &fs); err != nil {
			return err
		}
		more := int64(fs.Bavail)*fs.Bsize - room
		if more <= 0 {
			return nil
		}
		info, err := file.Stat()
		if err != nil {
			return err
		}
		if err := syscall.Fallocate(int(file.Fd()), 0, info.Size(), more); !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
