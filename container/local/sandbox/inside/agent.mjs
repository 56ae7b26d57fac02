import { converse, outbox, whileWriting } from "./conversation.mjs";
import { creditThere, dial, hangUp, sendThere } from "./dial.mjs";
import { closeEgress, openEgress } from "./egress.mjs";
import { fillFifos } from "./fifos.mjs";
import { answerFile, feedFile, forgetFile } from "./files.mjs";
import { FROM_AGENT, TO_AGENT } from "./frames.mjs";
import { answerSnapshot, forgetSnapshot, isAboutSnapshots } from "./pack.mjs";
import { isListening } from "./ports.mjs";
import { command } from "./process.mjs";

/**
 * Runs inside a sandbox and does there what the runtime asks: starts processes, passes their bytes on, and touches
 * files, so that no path is ever resolved outside. It has no more rights than what it starts, which may kill it or
 * speak in its name; then the runtime ends the sandbox.
 */

/** @param {number} kind @param {number} call @param {Buffer} content */
async function answer(kind, call, content) {
  switch (kind) {
    case TO_AGENT.spawn:
      return command.start(call, JSON.parse(content.toString()), outbox);
    case TO_AGENT.stdin:
      return command.feed(call, content);
    case TO_AGENT.control:
      return command.control(call, content);
    case TO_AGENT.kill:
      return outbox.send(FROM_AGENT.done, call, await command.kill(JSON.parse(content.toString())));
    case TO_AGENT.forget:
      forgetFile(call);
      forgetSnapshot(call);
      hangUp(call);
      return command.forget(call);
    case TO_AGENT.file: {
      const request = JSON.parse(content.toString());
      return isAboutSnapshots(request) ? answerSnapshot(call, request, outbox) : answerFile(call, request, outbox);
    }
    case TO_AGENT.bytes:
      return whileWriting(content, () => feedFile(call, content));
    case TO_AGENT.input:
      return outbox.send(FROM_AGENT.done, call, command.input(JSON.parse(content.toString())));
    case TO_AGENT.port:
      return outbox.send(FROM_AGENT.done, call, { isListening: isListening(JSON.parse(content.toString()).port) });
    case TO_AGENT.dial:
      return dial(call, JSON.parse(content.toString()), outbox);
    case TO_AGENT.there:
      return sendThere(call, content, outbox);
    case TO_AGENT.taken:
      return creditThere(call);
    case TO_AGENT.egress:
      if (JSON.parse(content.toString()).isOpen === true) openEgress();
      else closeEgress();
      return outbox.send(FROM_AGENT.done, call, {});
  }
}

fillFifos();
openEgress();
converse(answer);
