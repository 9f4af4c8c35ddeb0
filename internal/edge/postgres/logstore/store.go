// SPDX-License-Identifier: Apache-2.0

// Package logstore keeps the entries of domain logs in PostgreSQL, 15 or later: the store behind `strongroom logstore`. The head of a log is
// one row that is compared and set, an append is one statement and so one transaction, and a writer is fenced twice: by the epoch in that row,
// and against another process with the same epoch by an advisory lock of the session that also does the writing.
//
// It refuses a server on which a commit is not durable (fsync or synchronous_commit off), one that is reached over a network without a
// verified certificate, and tables of a newer release. Nobody trusts it for integrity: the core compares what it reads with its pin.
//
// Tables: docs/spec/log-store-process.md.
package logstore

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	wire "strongroom/internal/gate/logstore"
	"strongroom/internal/pure/canon"
)

// minVersion is the oldest server version that is supported, as server_version_num tells it.
const minVersion = 15_00_00

// maxName is the longest name of a log, in bytes.
const maxName = 200

// Config says where a log is.
type Config struct {
	DSN  string // connection string or URL; it may hold a password, so it comes from a file
	Log  string // name of the log in the database, 1 to 200 bytes: one a domain
	Pool int32  // connections for reading; 0: 4
	// Patience is how long a writer waits for the epoch's lock, which a session that is just ending may still hold; 0: 3 s.
	Patience time.Duration
}

// Store is one log in a database. Its methods are safe for concurrent use.
type Store struct {
	cfg  Config
	conn *pgx.ConnConfig
	pool *pgxpool.Pool
	id   int32
}

// Open connects, brings the tables to this release and makes the log if it is not there.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s, err := open(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open log in PostgreSQL: %w", err)
	}
	return s, nil
}

func open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Log == "" || len(cfg.Log) > maxName {
		return nil, fmt.Errorf("the name of the log has %d bytes; give it 1 to %d", len(cfg.Log), maxName)
	}
	if cfg.Pool < 0 || cfg.Patience < 0 {
		return nil, errors.New("pool and patience must not be negative")
	}
	if cfg.Pool == 0 {
		cfg.Pool = 4
	}
	if cfg.Patience == 0 {
		cfg.Patience = 3 * time.Second
	}
	pc, err := parse(cfg.DSN)
	if err != nil {
		return nil, err
	}
	pc.MaxConns = cfg.Pool
	s := &Store{cfg: cfg, conn: pc.ConnConfig}
	if s.id, err = s.prepare(ctx); err != nil {
		return nil, err
	}
	if s.pool, err = pgxpool.NewWithConfig(ctx, pc); err != nil {
		return nil, err
	}
	return s, nil
}

// parse reads a DSN and adds what this package insists on.
func parse(dsn string) (*pgxpool.Config, error) {
	pc, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err // pgx leaves the password out
	}
	c := pc.ConnConfig
	type way struct {
		host   string
		secure bool
	}
	ways := []way{{c.Host, c.TLSConfig != nil && !c.TLSConfig.InsecureSkipVerify}}
	for _, f := range c.Fallbacks {
		ways = append(ways, way{f.Host, f.TLSConfig != nil && !f.TLSConfig.InsecureSkipVerify})
	}
	for _, w := range ways {
		if !w.secure && (w.host == "" || w.host[0] != '/') {
			return nil, fmt.Errorf("host %q would be reached without a verified certificate: use sslmode=verify-full with sslrootcert, or a Unix socket", w.host)
		}
	}
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = "strongroom-logstore"
	}
	if c.RuntimeParams["synchronous_commit"] == "" {
		c.RuntimeParams["synchronous_commit"] = "on"
	}
	c.RuntimeParams["lock_timeout"] = "10000" // ms
	// Never cancel a commit that waits for its replicas: the server would call it a success.
	c.RuntimeParams["statement_timeout"] = "0"
	c.RuntimeParams["idle_in_transaction_session_timeout"] = "60000" // ms
	c.RuntimeParams["tcp_user_timeout"] = "15000"                    // ms; the lock of a machine that is gone is free after it
	c.RuntimeParams["tcp_keepalives_idle"] = "5"                     // s
	c.RuntimeParams["tcp_keepalives_interval"] = "3"                 // s
	c.RuntimeParams["tcp_keepalives_count"] = "3"
	return pc, nil
}

// prepare checks the server, migrates, and gives the id of the log.
func (s *Store) prepare(ctx context.Context) (id int32, err error) {
	conn, err := pgx.ConnectConfig(ctx, s.conn.Copy())
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if err := durable(ctx, conn); err != nil {
		return 0, err
	}
	if err := migrate(ctx, conn); err != nil {
		return 0, err
	}
	if _, err := conn.Exec(ctx, "INSERT INTO strongroom_log.heads (name) VALUES ($1) ON CONFLICT (name) DO NOTHING", s.cfg.Log); err != nil {
		return 0, fmt.Errorf("make log %q: %w", s.cfg.Log, err)
	}
	if err := conn.QueryRow(ctx, "SELECT id FROM strongroom_log.heads WHERE name = $1", s.cfg.Log).Scan(&id); err != nil {
		return 0, fmt.Errorf("find log %q: %w", s.cfg.Log, err)
	}
	return id, nil
}

// durable refuses a server that would call a commit durable that is not.
func durable(ctx context.Context, conn *pgx.Conn) error {
	var version, fsync, commit string
	var standby bool
	if err := conn.QueryRow(ctx, `SELECT current_setting('server_version_num'), current_setting('fsync'), current_setting('synchronous_commit'),
		pg_is_in_recovery()`).Scan(&version, &fsync, &commit, &standby); err != nil {
		return fmt.Errorf("ask the server for its settings: %w", err)
	}
	v, err := strconv.Atoi(version)
	switch {
	case err != nil || v < minVersion:
		return fmt.Errorf("the server's version is %s; use PostgreSQL 15 or later", version)
	case fsync != "on":
		return errors.New("the server has fsync off and loses commits; set fsync = on")
	case commit != "on" && commit != "remote_apply":
		return fmt.Errorf("synchronous_commit is %s; use on or remote_apply", commit)
	case standby:
		return errors.New("the server is a standby; name the primary, or add target_session_attrs=read-write")
	}
	return nil
}

// Close ends all connections for reading. Sessions are closed by who opened them.
func (s *Store) Close() { s.pool.Close() }

// Place names table and log for people.
func (s *Store) Place() string {
	return fmt.Sprintf("PostgreSQL database %q, table strongroom_log.entries, log %d (%s)", s.conn.Database, s.id, s.cfg.Log)
}

// Head gives the number of entries and the epoch.
func (s *Store) Head(ctx context.Context) (wire.Head, error) {
	return reading(ctx, s, func() (wire.Head, error) { return head(ctx, s.pool, s.id) })
}

// reading runs a read, and runs it again on new connections if the one that it used had ended: the server may have been started anew.
func reading[T any](ctx context.Context, s *Store, act func() (T, error)) (T, error) {
	v, err := act()
	var said *pgconn.PgError // by the server, over a connection that works
	if err == nil || ctx.Err() != nil || errors.As(err, &said) && !strings.HasPrefix(said.Code, "57P") ||
		errors.As(err, new(*wire.DamagedError)) {
		return v, err
	}
	s.pool.Reset()
	return act()
}

// querier is a pool, a connection or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func head(ctx context.Context, q querier, id int32) (wire.Head, error) {
	var size, writer int64
	if err := q.QueryRow(ctx, "SELECT size, writer FROM strongroom_log.heads WHERE id = $1", id).Scan(&size, &writer); err != nil {
		return wire.Head{}, fmt.Errorf("read the head: %w", err)
	}
	return wire.Head{Size: uint64(size), Writer: uint64(writer)}, nil // both are checked not to be negative by the table
}

// readPage gives entries below the head, and the head's size once if there are none. The sum stops a page before it grows too large; the
// lengths are columns, so that nothing is fetched to find out.
const readPage = `
SELECT h.size, p.seq, p.leaf, p.bodies, p.crc
FROM strongroom_log.heads h LEFT JOIN LATERAL (
    SELECT seq, leaf, bodies, crc, sum(bytes::bigint) OVER (ORDER BY seq) - bytes AS before
    FROM (SELECT seq, leaf, bodies, crc, bytes FROM strongroom_log.entries
          WHERE log = h.id AND seq >= $2 AND seq < h.size ORDER BY seq LIMIT $3) e
) p ON p.before < $4
WHERE h.id = $1 ORDER BY p.seq`

// Read gives entries from on, max at most and about limit bytes; at least one if there is one. A *[wire.DamagedError] is about entry from.
func (s *Store) Read(ctx context.Context, from, max uint64, limit int64) ([]wire.Record, error) {
	if from > math.MaxInt64 || max == 0 {
		return nil, nil
	}
	return reading(ctx, s, func() ([]wire.Record, error) { return s.read(ctx, from, max, limit) })
}

func (s *Store) read(ctx context.Context, from, max uint64, limit int64) ([]wire.Record, error) {
	rows, err := s.pool.Query(ctx, readPage, s.id, int64(from), int64(min(max, wire.MaxPage)), limit)
	if err != nil {
		return nil, fmt.Errorf("read entries from %d: %w", from, err)
	}
	defer rows.Close()
	var recs []wire.Record
	for rows.Next() {
		rec, err := scan(rows, from+uint64(len(recs)))
		if errors.As(err, new(*wire.DamagedError)) && len(recs) > 0 {
			return recs, nil // the next call names it
		}
		if err != nil {
			return nil, err
		}
		if rec != nil {
			recs = append(recs, *rec)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read entries from %d: %w", from, err)
	}
	return recs, nil
}

// scan reads the row that should be entry seq; nil if seq is at or beyond the end.
func scan(rows pgx.Rows, seq uint64) (*wire.Record, error) {
	var size int64
	var got, crc *int64
	var leaf, bodies []byte
	if err := rows.Scan(&size, &got, &leaf, &bodies, &crc); err != nil {
		return nil, fmt.Errorf("read entry %d: %w", seq, err)
	}
	switch {
	case got == nil && seq >= uint64(size):
		return nil, nil
	case got == nil || uint64(*got) != seq:
		return nil, &wire.DamagedError{Reason: "the row is missing"}
	case *crc != int64(checksum(seq, leaf, bodies)):
		return nil, &wire.DamagedError{Reason: "the checksum does not fit"}
	}
	rec := &wire.Record{Leaf: leaf}
	if err := canon.DecodeLarge(bodies, &rec.Bodies); err != nil {
		return nil, &wire.DamagedError{Reason: "the bodies can't be read: " + err.Error()}
	}
	return rec, nil
}

// checksum is CRC32C over the sequence number and the length of the leaf, both 8 bytes little-endian, the leaf and the encoded bodies.
func checksum(seq uint64, leaf, bodies []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	var head [16]byte
	for i := range 8 {
		head[i] = byte(seq >> (8 * i))
		head[8+i] = byte(uint64(len(leaf)) >> (8 * i))
	}
	return crc32.Update(crc32.Update(crc32.Checksum(head[:], table), table, leaf), table, bodies)
}
