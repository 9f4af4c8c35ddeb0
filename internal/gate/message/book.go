// SPDX-License-Identifier: Apache-2.0

package message

import "strongroom/internal/pure/policy"

// MethodBook lists the address book where the rule document has an address ledger. docs/spec/address-book.md.
const MethodBook = "book" // [List] → [Book]; From is a position, as [BookEntry.Position] counts

// Book are entries of the address ledger, oldest first.
type Book struct {
	Entries []BookEntry `cbor:"1,keyasint"`
	Total   uint64      `cbor:"2,keyasint"`
	Ledger  bool        `cbor:"3,keyasint,omitempty"` // the rule document has settings; without them the book is the document's
}

// BookEntry is an entry with what the ledger knows of it.
type BookEntry struct {
	Entry    policy.BookEntry       `cbor:"1,keyasint"`
	Standing policy.DestinationKind `cbor:"2,keyasint"`
	Age      int64                  `cbor:"3,keyasint"` // seconds for which it is there for certain
	Reviewed int64                  `cbor:"4,keyasint"` // Unix seconds: of the last review, or of its beginning
	Seq      uint64                 `cbor:"5,keyasint"` // log entry that made it
	Own      bool                   `cbor:"6,keyasint,omitempty"`
	Position uint64                 `cbor:"7,keyasint"`           // among all entries that ever were
	Old      bool                   `cbor:"8,keyasint,omitempty"` // it was in the rule document before there was a ledger
}
