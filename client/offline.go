// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"strongroom/internal/pure/apiv1"
)

// What serve tells of offline domains. docs/spec/cold.md.
type (
	OfflineDomain  = apiv1.OfflineDomain
	OfflineBundle  = apiv1.OfflineBundle
	OfflineResult  = apiv1.OfflineResult
	OfflineRefusal = apiv1.OfflineRefusal
	OfflineLost    = apiv1.OfflineLost
	OfflineSetBack = apiv1.OfflineSetBack
	AwayWallet     = apiv1.AwayWallet
	Away           = apiv1.Away
)

// OfflineDomains lists the offline domains of the authority.
func (c *Client) OfflineDomains(ctx context.Context) ([]OfflineDomain, error) {
	var l apiv1.OfflineDomainList
	err := c.get(ctx, "/v1/offline-domains", nil, &l)
	return l.Domains, err
}

// ExportBundle writes a bundle to an offline domain, named by name or id; the only one, if domain is empty. With full it has all entries, not only
// those that the offline domain is not known to have. What was written is sealed; it is complete only if the error is nil.
func (c *Client) ExportBundle(ctx context.Context, w io.Writer, domain string, full bool) (b OfflineBundle, err error) {
	if err := c.call(ctx, http.MethodPost, "/v1/offline-bundles", nil, apiv1.OfflineBundleIn{Domain: domain, Full: full}, &b); err != nil {
		return b, err
	}
	for offset := 0; ; {
		part, err := c.send(ctx, http.MethodGet, "/v1/offline-bundles/"+b.Run, url.Values{"offset": {strconv.Itoa(offset)}}, nil, nil)
		if err != nil || len(part) == 0 {
			return b, err
		}
		if _, err := w.Write(part); err != nil {
			return b, fmt.Errorf("write the bundle: %w", err)
		}
		offset += len(part)
	}
}

// ImportResult hands in the result of an offline domain and says what it brought.
func (c *Client) ImportResult(ctx context.Context, result []byte) (out OfflineResult, err error) {
	var run [16]byte
	rand.Read(run[:])
	for offset := 0; ; {
		end := min(offset+apiv1.MaxResultPart, len(result))
		in := apiv1.OfflineResultIn{Run: hex.EncodeToString(run[:]), Offset: uint64(offset), Bytes: result[offset:end], Last: end == len(result)}
		if err := c.call(ctx, http.MethodPost, "/v1/offline-results", nil, in, &out); err != nil || in.Last {
			return out, err
		}
		offset = end
	}
}
