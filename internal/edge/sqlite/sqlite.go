// SPDX-License-Identifier: Apache-2.0

// Package sqlite keeps serve's cache in one SQLite file: which requests there are, what became of transfers on their chains,
// and the coins of Bitcoin wallets. Nobody believes it. Whatever is in it follows from the core's log and from the chains, so
// that the file can be deleted at any time; serve then makes it anew.
//
// Its files are readable for their owner alone. Write-ahead log, a flush to disk with each commit, one writer; forward-only migrations. It refuses a file of a newer version.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	_ "modernc.org/sqlite" // registers the driver
)

//go:embed migrations/*.sql
var migrations embed.FS

// DB is an open cache. Its parts are safe for concurrent use.
type DB struct {
	write *sql.DB // one connection: writers wait for each other here, not in SQLite
	read  *sql.DB
}

// Open opens the file at path, or makes it, and brings it to this version's form.
func Open(ctx context.Context, path string) (*DB, error) {
	if path == "" {
		return nil, errors.New("sqlite: a path is required")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open cache: %w", err)
	}
	if err := private(abs); err != nil {
		return nil, fmt.Errorf("open cache: %w", err)
	}
	db := &DB{}
	if db.write, err = pool(abs, 1, "immediate"); err == nil {
		if err = migrate(ctx, db.write); err == nil {
			db.read, err = pool(abs, 4, "deferred")
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open cache %s: %w; it holds nothing that can't be made anew: remove it and its -wal and -shm files", path, err), db.Close())
	}
	return db, nil
}

// private makes the file, and what SQLite left beside it, readable for its owner alone, whatever the umask: the cache holds requests,
// addresses and coins in clear. SQLite gives the files that it makes later the mode of the first one.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		if err := os.Chmod(name, 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func pool(path string, connections int, lock string) (*sql.DB, error) {
	q := url.Values{"_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(10000)"}, "_txlock": {lock}}
	u := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: q.Encode()}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return db, nil
}

// migrate applies what the file lacks. The version is SQLite's own user_version.
func migrate(ctx context.Context, db *sql.DB) error {
	list, err := migrations.ReadDir("migrations")
	if err != nil {
		return err
	}
	var have int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
		return err
	}
	if have > len(list) {
		return fmt.Errorf("it was written by a newer version (%d, this one knows %d)", have, len(list))
	}
	for i, f := range list[have:] {
		text, err := migrations.ReadFile("migrations/" + f.Name())
		if err != nil {
			return err
		}
		err = in(ctx, db, func(tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, string(text)); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", have+i+1))
			return err
		})
		if err != nil {
			return fmt.Errorf("migration %s: %w", f.Name(), err)
		}
	}
	return nil
}

// Close closes the file.
func (db *DB) Close() error {
	var err error
	for _, p := range []*sql.DB{db.read, db.write} {
		if p != nil {
			err = errors.Join(err, p.Close())
		}
	}
	return err
}

// in runs f in a transaction.
func in(ctx context.Context, db *sql.DB, f func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	return tx.Commit()
}

// ignoreDone drops the error of a rollback that the context has done already.
func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// rows reads all rows of a query.
func rows[T any](ctx context.Context, db *sql.DB, scan func(*sql.Rows) (T, error), query string, args ...any) (out []T, err error) {
	r, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for r.Next() {
		x, err := scan(r)
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	return out, r.Err()
}

// id32 makes an id of a column.
func id32[T ~[32]byte](b []byte) (T, error) {
	if len(b) != 32 {
		return T{}, fmt.Errorf("an id in the cache has %d bytes", len(b))
	}
	return T([32]byte(b)), nil
}

// bytesOf is never NULL.
func bytesOf(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// marks gives n placeholders.
func marks(n int) string { return strings.Join(slices.Repeat([]string{"?"}, n), ", ") }
