// SPDX-License-Identifier: Apache-2.0

package logstore

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// migrations are applied in the order of their names, each once, and never changed after a release: a correction is a new file.
//
//go:embed migrations/*.sql
var migrations embed.FS

// ErrSchema says that the tables in the database are not those of this release.
var ErrSchema = errors.New("the log's tables are of another release")

// migrationLock keeps two processes that start at the same time from migrating twice; an arbitrary number.
const migrationLock = 0x5374726f6e67_01

const createLedger = `
CREATE SCHEMA IF NOT EXISTS strongroom_log;
CREATE TABLE IF NOT EXISTS strongroom_log.migrations (
    version integer PRIMARY KEY,
    name    text NOT NULL,
    sha256  text NOT NULL,
    applied timestamptz NOT NULL DEFAULT now()
);`

// migrate brings the tables to this release, in one transaction, and refuses tables of a newer one or of files that were changed.
func migrate(ctx context.Context, conn *pgx.Conn) error {
	files, err := migrations.ReadDir("migrations")
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(migrationLock)); err != nil {
			return fmt.Errorf("lock migrations: %w", err)
		}
		applied, err := ledger(ctx, tx)
		if err != nil {
			return err
		}
		if len(applied) > len(files) {
			return fmt.Errorf("%w: %d migrations are applied, this release has %d; install the newer release", ErrSchema, len(applied), len(files))
		}
		for i, f := range files {
			sql, err := migrations.ReadFile("migrations/" + f.Name())
			if err != nil {
				return fmt.Errorf("read migrations: %w", err)
			}
			digest := sha256.Sum256(sql)
			sum := hex.EncodeToString(digest[:])
			if i < len(applied) {
				if applied[i] != sum {
					return fmt.Errorf("%w: migration %s was applied with other contents", ErrSchema, f.Name())
				}
				continue
			}
			if _, err := tx.Exec(ctx, string(sql)); err != nil {
				return fmt.Errorf("migrate to %s: %w", f.Name(), err)
			}
			if _, err := tx.Exec(ctx, "INSERT INTO strongroom_log.migrations (version, name, sha256) VALUES ($1, $2, $3)", i+1, f.Name(), sum); err != nil {
				return fmt.Errorf("note migration %s: %w", f.Name(), err)
			}
		}
		return nil
	})
}

// ledger gives the digests of the migrations that were applied, in order; it makes its table where there is none.
func ledger(ctx context.Context, tx pgx.Tx) ([]string, error) {
	var there bool
	if err := tx.QueryRow(ctx, "SELECT to_regclass('strongroom_log.migrations') IS NOT NULL").Scan(&there); err != nil {
		return nil, fmt.Errorf("look for the log's tables: %w", err)
	}
	if !there { // asked first, so that a role that may not create anything can use tables that are there
		if _, err := tx.Exec(ctx, createLedger); err != nil {
			return nil, fmt.Errorf("create the log's schema: %w", err)
		}
	}
	rows, err := tx.Query(ctx, "SELECT sha256 FROM strongroom_log.migrations ORDER BY version")
	if err != nil {
		return nil, fmt.Errorf("read applied migrations: %w", err)
	}
	sums, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read applied migrations: %w", err)
	}
	return sums, nil
}
