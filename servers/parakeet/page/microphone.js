// The microphone, as frames of 16 kHz PCM16. Knows nothing of servers.

const PLAIN = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };

// Why there can be no microphone here, in words; "" where there can.
export function obstacle() {
  if (!isSecureContext) return "A browser opens the microphone only over HTTPS or on localhost. Files work here too.";
  return navigator.mediaDevices?.getUserMedia ? "" : "This browser offers no microphone.";
}

export class Microphone {
  // `onFrame(ArrayBuffer, peak)` with each 40 ms, `onLost()` when the device goes away. Rejects with an Error in words.
  static async open({ onFrame, onLost }) {
    const context = new AudioContext();
    try {
      // Everything is ready before the microphone opens, so that the first word is not lost.
      await context.audioWorklet.addModule(new URL("worklet.js", import.meta.url)).catch((error) => {
        throw new Error(`A part of this page could not be loaded; does the server still run? (${error.message})`);
      });
      const stream = await navigator.mediaDevices.getUserMedia({ audio: PLAIN }).catch((error) => {
        throw new Error(inWords(error));
      });
      const microphone = new Microphone(stream, context, onFrame, onLost);
      await context.resume();
      return microphone;
    } catch (error) {
      context.close();
      throw error;
    }
  }

  constructor(stream, context, onFrame, onLost) {
    this.stream = stream;
    this.context = context;
    const mono = { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" };
    this.node = new AudioWorkletNode(context, "capture", mono);
    this.ended = new Promise((resolve) => {
      this.node.port.onmessage = ({ data }) => (data.ended ? resolve() : onFrame(data.pcm, data.peak));
    });
    stream.getAudioTracks()[0].onended = onLost;
    context.createMediaStreamSource(stream).connect(this.node);
  }

  // Resolves when the last frame has been given out, or after a second where the audio thread no longer answers.
  close() {
    this.closing ??= this.finish();
    return this.closing;
  }

  async finish() {
    this.node.port.postMessage("finish");
    await Promise.race([this.ended, new Promise((go) => setTimeout(go, 1000))]);
    this.stream.getTracks().forEach((track) => track.stop());
    await this.context.close();
  }
}

function inWords(error) {
  if (error.name === "NotAllowedError") return "The browser does not let this page use the microphone: allow it in the address bar.";
  if (error.name === "NotFoundError") return "There is no microphone.";
  if (error.name === "NotReadableError") return "Another program holds the microphone.";
  return `The microphone cannot be opened: ${error.message}`;
}
