// SPDX-License-Identifier: Apache-2.0

package segment_test

import (
	"testing"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/disk"
	"strongroom/internal/core/auditlog/disk/disktest"
	"strongroom/internal/core/auditlog/logtest"
	"strongroom/internal/core/auditlog/segment"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]segment.Options{"larger segments": {SegmentSize: 1 << 20}, "small segments": {SegmentSize: 2048}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			logtest.Run(t, func(t *testing.T) func() (auditlog.Store, error) {
				dir := t.TempDir()
				return func() (auditlog.Store, error) {
					d, err := disk.OS(dir, disk.Options{})
					if err != nil {
						return nil, err
					}
					return segment.Open(d, o)
				}
			})
		})
	}
}

func TestConformanceInMemory(t *testing.T) {
	t.Parallel()
	logtest.Run(t, func(t *testing.T) func() (auditlog.Store, error) {
		m := disktest.New()
		return func() (auditlog.Store, error) { return segment.Open(m, segment.Options{SegmentSize: 1024}) }
	})
}
