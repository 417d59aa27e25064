import { LiveClassification } from '../../src/projector/live-classification';

// Required by a server, one of its loops ends by an error a second after the start: as a bug would have it.
const { prototype } = LiveClassification;
type Refresh = (this: LiveClassification) => Promise<void>;
const refresh = Object.getOwnPropertyDescriptor(prototype, 'refresh')?.value as Refresh;
prototype.refresh = function (this: LiveClassification) {
  prototype.refresh = () => {
    throw new Error('a planted bug');
  };
  return refresh.call(this);
};
