// SPDX-License-Identifier: Apache-2.0

package monitor

import "log/slog"

// LineOf says which event a line of serve's log tells of, for package tally.
func LineOf(r slog.Record) (ServeEvent, bool) {
	e, known := serveLines[r.Message]
	switch {
	case r.Level < slog.LevelWarn:
		return "", false
	case known:
		return e, true
	case r.Level >= slog.LevelError:
		return "error", true
	default:
		return "warning", true
	}
}
