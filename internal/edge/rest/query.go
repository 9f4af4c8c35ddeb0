// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"encoding/base64"
	"encoding/binary"
	"net/url"
	"strconv"

	"strongroom/internal/pure/problem"
)

func parseQuery(raw string) (url.Values, error) {
	q, err := url.ParseQuery(raw)
	if err != nil {
		return nil, problem.New(problem.Malformed, "the query of the address can't be read: %v", err)
	}
	return q, nil
}

// arg gives a query parameter; the form of the query was checked.
func (c *call) arg(name string) string { return c.r.URL.Query().Get(name) }

// number gives a query parameter as a whole number from least to most, or def where it is absent.
func (c *call) number(name string, def, least, most uint64) (uint64, error) {
	s := c.arg(name)
	if s == "" {
		return def, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n < least || n > most || s != strconv.FormatUint(n, 10) {
		return 0, problem.New(problem.Malformed, "query parameter %s must be a whole number from %d to %d", name, least, most)
	}
	return n, nil
}

// Cursors are opaque: eight bytes behind a mark that says which list they belong to.
func cursor(list byte, n uint64) string {
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64([]byte{list}, n))
}

// Lists that have cursors.
const (
	listRequests  = 'r'
	listWallets   = 'w'
	listAddresses = 'a'
	listAppGrants = 'g'
	listBook      = 'b'
	listLimits    = 'l'
)

// after gives where a page begins.
func (c *call) after(list byte) (uint64, error) {
	s := c.arg("cursor")
	if s == "" {
		return 0, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != 9 || b[0] != list {
		return 0, problem.New(problem.Malformed, "query parameter cursor is not one that this list gave; leave it out to begin anew")
	}
	return binary.BigEndian.Uint64(b[1:]), nil
}
