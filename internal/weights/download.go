package weights

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ftrun/ftrun/internal/durable"
)

// stall is how long a server may send nothing before the download is given up.
const stall = 60 * time.Second

// download brings the entry's file into the folder for downloads; the caller holds the file's lock.
func (c *Cache) download(ctx context.Context, e Entry, progress func(done, total int64)) error {
	f, err := os.OpenFile(c.part(e), os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	defer f.Close()
	have, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if err := c.transfer(ctx, e.URL, f, have, progress); err != nil {
		if have, seekErr := f.Seek(0, io.SeekEnd); seekErr == nil && have == 0 {
			os.Remove(f.Name())
		}
		return err
	}
	var bad *ChecksumError
	if err := verify(f.Name(), e.HashPrefix); errors.As(err, &bad) && have > 0 {
		// The piece from an earlier try may be the damaged one.
		if err := c.transfer(ctx, e.URL, f, 0, progress); err != nil {
			return err
		}
	}
	if err := verify(f.Name(), e.HashPrefix); errors.As(err, &bad) {
		os.Remove(f.Name())
		return fmt.Errorf("what came is not the file: its SHA-256 begins with %s and should with %s; it was deleted",
			bad.Got, bad.Want)
	} else if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return durable.Rename(f.Name(), filepath.Join(c.Download, e.File))
}

// transfer fetches address from byte have on into f. Where the server sends the whole all the same, f starts anew.
func (c *Cache) transfer(ctx context.Context, address string, f *os.File, have int64, progress func(done, total int64)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(stall, func() { cancel(fmt.Errorf("the server sent nothing for %v", stall)) })
	defer silence.Stop()

	resp, err := c.get(ctx, address, have)
	if err != nil {
		return causeOf(ctx, err)
	}
	defer func() { resp.Body.Close() }()
	if resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && have > 0 {
		if size, ok := strings.CutPrefix(resp.Header.Get("Content-Range"), "bytes */"); ok && size == strconv.FormatInt(have, 10) {
			return nil // all of it is here
		}
		resp.Body.Close()
		have = 0
		if resp, err = c.get(ctx, address, have); err != nil {
			return causeOf(ctx, err)
		}
	}
	switch {
	case resp.StatusCode == http.StatusOK:
		have = 0
	case resp.StatusCode == http.StatusPartialContent && have > 0:
		if !strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", have)) {
			return fmt.Errorf("the server sent the range %q in place of the one from byte %d on",
				resp.Header.Get("Content-Range"), have)
		}
	default:
		return fmt.Errorf("the server answered %q", resp.Status)
	}
	if err := f.Truncate(have); err != nil {
		return err
	}
	if _, err := f.Seek(have, io.SeekStart); err != nil {
		return err
	}
	total := int64(-1)
	if resp.ContentLength >= 0 {
		total = have + resp.ContentLength
	}
	if progress == nil {
		progress = func(int64, int64) {}
	}
	progress(have, total)
	buf := make([]byte, 256<<10)
	for {
		n, err := resp.Body.Read(buf)
		if n > 0 {
			silence.Reset(stall)
			if _, err := f.Write(buf[:n]); err != nil {
				return err
			}
			have += int64(n)
			progress(have, total)
		}
		switch {
		case err == io.EOF && total >= 0 && have < total, errors.Is(err, io.ErrUnexpectedEOF):
			return fmt.Errorf("the connection broke after %d of %d bytes", have, total)
		case err == io.EOF:
			return nil
		case err != nil:
			return causeOf(ctx, err)
		}
	}
}

func (c *Cache) get(ctx context.Context, address string, from int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", "identity") // the hash is over the file, and a range counts its bytes
	if from > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	client := c.Client
	if client == nil {
		client = http.DefaultClient
	}
	return client.Do(req)
}

// causeOf prefers why a transfer was cancelled to the bare fact, and leaves out the address, which the caller names.
func causeOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if urlErr, ok := errors.AsType[*url.Error](err); ok {
		return urlErr.Err
	}
	return err
}
