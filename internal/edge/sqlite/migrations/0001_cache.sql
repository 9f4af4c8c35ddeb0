-- SPDX-License-Identifier: Apache-2.0
-- Everything in here can be made anew from the core's log and the chains. Amounts are decimal text.

CREATE TABLE folded (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    next INTEGER NOT NULL, -- entry that comes next
    last BLOB    NOT NULL  -- leaf hash of the entry before it
) STRICT;
INSERT INTO folded (one, next, last) VALUES (1, 0, zeroblob(32));

CREATE TABLE requests (
    id        BLOB    PRIMARY KEY,
    seq       INTEGER NOT NULL UNIQUE,
    state     TEXT    NOT NULL, -- pending stands for pending, ready and expired, which no entry tells apart
    operation TEXT    NOT NULL,
    wallet    TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX requests_by_state ON requests (state, seq);

CREATE TABLE transfers (
    request  BLOB    PRIMARY KEY,
    seq      INTEGER NOT NULL,
    wallet   TEXT    NOT NULL,
    chain    TEXT    NOT NULL,
    next     INTEGER NOT NULL, -- Unix nanoseconds
    bump     INTEGER NOT NULL, -- Unix nanoseconds
    failures INTEGER NOT NULL,
    poke     INTEGER NOT NULL,
    note     TEXT    NOT NULL,
    settled  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX transfers_due ON transfers (chain, next) WHERE settled = 0;
CREATE INDEX transfers_live ON transfers (wallet, seq) WHERE settled = 0;

CREATE TABLE attempts (
    request       BLOB    NOT NULL,
    number        INTEGER NOT NULL,
    state         TEXT    NOT NULL,
    payload       BLOB    NOT NULL,
    account       TEXT    NOT NULL,
    nonce         INTEGER NOT NULL, -- the 64 bits of an unsigned number
    permit        INTEGER NOT NULL,
    txid          TEXT    NOT NULL,
    signed        BLOB    NOT NULL,
    sent          INTEGER NOT NULL, -- Unix nanoseconds
    height        INTEGER NOT NULL,
    block         TEXT    NOT NULL,
    confirmations INTEGER NOT NULL,
    reverted      INTEGER NOT NULL,
    fee           TEXT    NOT NULL,
    note          TEXT    NOT NULL,
    PRIMARY KEY (request, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE blocks (
    chain  TEXT    NOT NULL,
    height INTEGER NOT NULL,
    hash   TEXT    NOT NULL,
    PRIMARY KEY (chain, height)
) STRICT, WITHOUT ROWID;

CREATE TABLE coins (
    chain    TEXT    NOT NULL,
    txid     BLOB    NOT NULL, -- internal byte order
    output   INTEGER NOT NULL,
    wallet   TEXT    NOT NULL,
    value    INTEGER NOT NULL, -- satoshi
    script   BLOB    NOT NULL,
    branch   INTEGER NOT NULL,
    key      INTEGER NOT NULL,
    height   INTEGER NOT NULL,
    coinbase INTEGER NOT NULL,
    prevtx   BLOB,
    spent_at INTEGER NOT NULL, -- height; 0: unspent
    spent_by BLOB    NOT NULL,
    PRIMARY KEY (chain, txid, output)
) STRICT, WITHOUT ROWID;
CREATE INDEX coins_unspent ON coins (wallet, height) WHERE spent_at = 0;
CREATE INDEX coins_by_height ON coins (chain, height);
CREATE INDEX coins_by_spend ON coins (chain, spent_at) WHERE spent_at > 0;

CREATE TABLE watched (
    wallet TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
