// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"log/slog"
	"time"

	"strongroom/internal/app/logstoreapp"
)

// logstoreCmd keeps a domain's log in PostgreSQL, for a core with --log-socket.
type logstoreCmd struct {
	Socket    string   `required:"" placeholder:"PATH" help:"Socket to serve, in a folder of mode 0700."`
	DSNFile   string   `name:"postgres-dsn-file" placeholder:"FILE" help:"File with the PostgreSQL connection string, readable by nobody else."`
	DSNFD     int      `name:"postgres-dsn-fd" placeholder:"N" help:"Read it from this file descriptor instead."`
	Log       string   `placeholder:"NAME" help:"Name of the log in the database; default: domain."`
	Metrics   string   `name:"metrics-listen" placeholder:"HOST:PORT" help:"Where /metrics is, on loopback and in plaintext; default: nowhere."`
	AllowUIDs []uint32 `name:"allow-uids" placeholder:"UID" help:"User ids that may connect, with commas; default: our own."`
}

// Run serves the log until it is told to stop.
func (c *logstoreCmd) Run(e *env) error {
	if (c.DSNFile == "") == (c.DSNFD == 0) {
		return usage("give --postgres-dsn-file or --postgres-dsn-fd; a connection string can hold a password and is never an argument")
	}
	return logstoreapp.Run(e.ctx, logstoreapp.Options{Socket: c.Socket, DSNFile: c.DSNFile, DSNFD: c.DSNFD, Log: c.Log, UIDs: c.AllowUIDs, Metrics: c.Metrics, Now: time.Now,
		Logger: slog.New(slog.NewJSONHandler(e.Err, nil))}, func() {
		e.hint("the core runs with: strongroom core run --data DIR --log-socket %s", c.Socket)
	})
}
