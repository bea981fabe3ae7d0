// What the page's parts know in common: which output and which videos are asked for, the last answer, and the time.

export const asked = { o: "", state: "", text: "", offset: 0, limit: matchMedia("(max-width: 600px)").matches ? 30 : 99 };

// `shown` is the last answer, `clock` the server's time less ours, in milliseconds
export const page = { shown: null, clock: 0 };

export const now = () => Date.now() + page.clock;
