-- SPDX-License-Identifier: Apache-2.0
-- Requests and transfers are kept by the entry of the request. Entries only grow, so that what a busy log adds lies side by side in few
-- pages; by id, which is a hash, each row changed a page of its own, and again one in each index.

DROP INDEX requests_by_state;
ALTER TABLE requests RENAME TO requests_1;
CREATE TABLE requests (
    seq       INTEGER PRIMARY KEY, -- entry
    id        BLOB NOT NULL,       -- the core forgets ended requests after 90 days: an id may come again then
    state     TEXT NOT NULL,       -- pending stands for pending, ready and expired, which no entry tells apart
    operation TEXT NOT NULL,
    wallet    TEXT NOT NULL
) STRICT;
INSERT INTO requests (seq, id, state, operation, wallet) SELECT seq, id, state, operation, wallet FROM requests_1 ORDER BY seq;
DROP TABLE requests_1;
CREATE INDEX requests_by_state ON requests (state, seq);
CREATE UNIQUE INDEX requests_pending ON requests (id) WHERE state = 'pending'; -- no others change

DROP INDEX transfers_due;
DROP INDEX transfers_live;
ALTER TABLE transfers RENAME TO transfers_1;
CREATE TABLE transfers (
    seq      INTEGER PRIMARY KEY, -- entry of the request
    request  BLOB    NOT NULL,
    wallet   TEXT    NOT NULL,
    chain    TEXT    NOT NULL,
    next     INTEGER NOT NULL, -- Unix nanoseconds
    bump     INTEGER NOT NULL, -- Unix nanoseconds
    failures INTEGER NOT NULL,
    poke     INTEGER NOT NULL,
    note     TEXT    NOT NULL,
    settled  INTEGER NOT NULL
) STRICT;
INSERT INTO transfers (seq, request, wallet, chain, next, bump, failures, poke, note, settled)
    SELECT seq, request, wallet, chain, next, bump, failures, poke, note, settled FROM transfers_1 ORDER BY seq;
DROP TABLE transfers_1;
CREATE UNIQUE INDEX transfers_by_request ON transfers (request);
CREATE INDEX transfers_due ON transfers (chain, next) WHERE settled = 0;
CREATE INDEX transfers_live ON transfers (wallet, seq) WHERE settled = 0;
