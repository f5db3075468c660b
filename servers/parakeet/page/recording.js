// The file that was chosen: sent to the server, and played in the page.

import { chunksOf } from "./words.js";

const PATIENCE_MS = 10000;

export class Recording {
  constructor(player) {
    this.player = player;
    this.file = null;
    this.playable = false;
  }

  get loaded() {
    return this.playable;
  }

  // The name without its ending, for what is saved.
  get stem() {
    return this.file.name.replace(/\.[^.]*$/, "") || "transcript";
  }

  load(file) {
    this.unload();
    this.file = file;
    const { player } = this;
    player.src = URL.createObjectURL(file);
    this.known = new Promise((resolve) => {
      player.onloadedmetadata = () => {
        this.playable = true;
        player.hidden = false;
        resolve(Number.isFinite(player.duration) ? player.duration : null);
      };
      // The server reads formats that this browser does not.
      player.onerror = () => resolve(null);
      setTimeout(() => resolve(null), PATIENCE_MS);
    });
  }

  unload() {
    this.file = null;
    this.playable = false;
    const { player } = this;
    player.hidden = true;
    player.onloadedmetadata = player.onerror = null;
    if (player.src) URL.revokeObjectURL(player.src);
    player.removeAttribute("src");
    player.load();
  }

  // Chunks, one for each sentence, how long the server took for them, the upload included, and the audio's length
  // in seconds: the browser's word, else the last word's end, null where there is neither.
  async transcribe(server, signal) {
    const begunMs = performance.now();
    const chunks = chunksOf(await server.transcribe(this.file, signal));
    const tookS = (performance.now() - begunMs) / 1000;
    return { chunks, tookS, audioS: (await this.known) ?? chunks.at(-1)?.end ?? null };
  }

  play(fromS) {
    this.player.currentTime = fromS;
    // Rejected where a pause or another file comes before it has begun: nothing to tell, the player shows its own state.
    this.player.play().catch(() => {});
  }
}
