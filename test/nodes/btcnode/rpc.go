// SPDX-License-Identifier: Apache-2.0

package btcnode

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// maxAnswer bounds an answer of the node, in bytes: a block of 4 MB in hex and room.
const maxAnswer = 16 << 20

// RPCError is a refusal by the node. Codes are btcd's own; tell refusals
// apart by message and state.
type RPCError struct {
	Method  string `json:"-"`
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// Error names the method and repeats the node's words.
func (e *RPCError) Error() string {
	return fmt.Sprintf("btcd %s: %s (code %d)", e.Method, e.Message, e.Code)
}

// Call calls a JSON-RPC method and decodes its result into result, which may
// be nil. A refusal by the node is a [*RPCError].
func (n *Node) Call(ctx context.Context, result any, method string, params ...any) error {
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "1.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return fmt.Errorf("btcd %s: encode the call: %w", method, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.RPC(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("btcd %s: %w", method, err)
	}
	req.SetBasicAuth(n.user, n.pass)
	req.Header.Set("Content-Type", "application/json")
	resp, err := n.http.Do(req)
	if err != nil {
		return fmt.Errorf("btcd %s: %w", method, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusUnauthorized {
		return fmt.Errorf("btcd %s: another program answers at %s", method, n.RPC())
	}
	var answer struct {
		Result json.RawMessage `json:"result"`
		Error  *RPCError       `json:"error"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&answer); err != nil {
		return fmt.Errorf("btcd %s: decode the answer (status %d): %w", method, resp.StatusCode, err)
	}
	if answer.Error != nil {
		answer.Error.Method = method
		return answer.Error
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(answer.Result, result); err != nil {
		return fmt.Errorf("btcd %s: decode the result: %w", method, err)
	}
	return nil
}
