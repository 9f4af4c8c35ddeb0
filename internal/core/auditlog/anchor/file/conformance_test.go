// SPDX-License-Identifier: Apache-2.0

package file_test

import (
	"testing"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/anchor/file"
	"strongroom/internal/core/auditlog/disk"
	"strongroom/internal/core/auditlog/logtest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	logtest.RunAnchor(t, func(t *testing.T) func() (auditlog.Anchor, error) {
		dir := t.TempDir()
		return func() (auditlog.Anchor, error) {
			d, err := disk.OS(dir, disk.Options{})
			if err != nil {
				return nil, err
			}
			return file.Open(d)
		}
	})
}
