//go:build !unix

package durable

import "io/fs"

func umask() fs.FileMode { return 0o022 }

// syncDir does nothing: such systems have no folders to sync.
func syncDir(string) error { return nil }
