package data

import "sync"

// Cache keeps pictures in memory, so that each is decoded at most once a run: decoded ones for augmentation, finished
// crops for the deterministic transform. Once it is full it takes no more, and what is not in it is decoded each time;
// epochs visit every picture equally often, so that dropping one for another would gain nothing. Loaders may share one.
type Cache struct {
	mu      sync.Mutex
	left    int64
	entries map[cacheKey]*cacheEntry
}

// cacheKey names a picture, with the content that it must have, and what was done to it: decoded only (resize and crop 0),
// or resized and cropped.
type cacheKey struct {
	source       source
	sum          string
	resize, crop int
}

type cacheEntry struct {
	ready chan struct{} // closed when img and err are set
	img   *Image
	err   error
}

// NewCache returns a cache for up to bytes of pixels; 0 keeps nothing.
func NewCache(bytes int64) *Cache {
	return &Cache{left: bytes, entries: map[cacheKey]*cacheEntry{}}
}

// get returns the picture of key, making it where it is not there; goroutines that ask for it meanwhile wait for the one.
func (c *Cache) get(key cacheKey, load func() (*Image, error)) (*Image, error) {
	c.mu.Lock()
	if e, ok := c.entries[key]; ok {
		c.mu.Unlock()
		<-e.ready
		return e.img, e.err
	}
	if c.left <= 0 {
		c.mu.Unlock()
		return load()
	}
	e := &cacheEntry{ready: make(chan struct{})}
	c.entries[key] = e
	c.mu.Unlock()

	e.img, e.err = load()
	c.mu.Lock()
	if e.err != nil || int64(len(e.img.Pix)) > c.left {
		delete(c.entries, key)
	} else {
		c.left -= int64(len(e.img.Pix))
	}
	c.mu.Unlock()
	close(e.ready)
	return e.img, e.err
}
