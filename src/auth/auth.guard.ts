import { Inject, Injectable, SetMetadata, applyDecorators, createParamDecorator } from '@nestjs/common';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { ApiBearerAuth, ApiExtension, ApiTags } from '@nestjs/swagger';
import type { FastifyRequest } from 'fastify';
import { Problem } from '../http/problem';
import type { Capability, Plane, Principal } from './principal';
import type { Verifier } from './verifier';

/** The injection token of the `Verifier`. */
export const VERIFIER = Symbol('Verifier');

const PUBLIC = 'opstruth:public';
const PLANES = 'opstruth:planes';
const CAPABILITY = 'opstruth:capability';
/** Where the API's description names the capabilities of an operation. */
export const CAPABILITIES_EXTENSION = 'x-capabilities';

/** Answers without a token. */
export const Public = () => SetMetadata(PUBLIC, true);

/** The plane (rarely planes) whose tokens open this controller or handler. Whatever is not public must have one. */
export const OnPlane = (...planes: readonly [Plane, ...Plane[]]) =>
  applyDecorators(SetMetadata(PLANES, planes), ApiBearerAuth(), ApiTags(planes.join(', ')));

/** The capability a token needs for this handler, beyond its plane; of several any one. */
export const NeedsCapability = (...capabilities: readonly [Capability, ...Capability[]]) =>
  applyDecorators(SetMetadata(CAPABILITY, capabilities), ApiExtension(CAPABILITIES_EXTENSION, capabilities));

interface AuthenticatedRequest extends FastifyRequest {
  principal?: Principal;
}

/** The reader, as the guard has verified it. Only on routes that are not public. */
export const CurrentPrincipal = createParamDecorator((_: unknown, context: ExecutionContext): Principal => {
  const { principal } = context.switchToHttp().getRequest<AuthenticatedRequest>();
  if (!principal) throw new Error(`${nameOf(context)} asks for the principal of a public route`);
  return principal;
});

/** Global: a route that declares neither a plane nor that it is public answers nobody. */
@Injectable()
export class AuthGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    @Inject(VERIFIER) private readonly verifier: Verifier,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const targets = [context.getHandler(), context.getClass()];
    if (this.reflector.getAllAndOverride<boolean | undefined>(PUBLIC, targets)) return true;
    const planes = this.reflector.getAllAndOverride<readonly Plane[] | undefined>(PLANES, targets);
    if (!planes) throw new Error(`${nameOf(context)} needs @OnPlane or @Public`);

    const request = context.switchToHttp().getRequest<AuthenticatedRequest>();
    const principal = await this.authenticate(request.headers.authorization);
    if (!planes.includes(principal.plane)) throw Problem.wrongPlane(principal.plane, planes);
    const needed = this.reflector.getAllAndOverride<readonly [Capability] | undefined>(CAPABILITY, targets);
    if (needed && !needed.some((capability) => principal.capabilities.has(capability)))
      throw Problem.missingCapability(needed[0]);
    request.principal = principal;
    return true;
  }

  private async authenticate(header: string | undefined): Promise<Principal> {
    const token = /^Bearer +([^\s]+) *$/i.exec(header ?? '')?.[1];
    if (token === undefined)
      throw Problem.unauthenticated(
        header === undefined ? 'no bearer token' : 'the Authorization header holds no bearer token',
        header === undefined ? 'Bearer' : 'Bearer error="invalid_request"',
      );
    const verification = await this.verifier.verify(token);
    if (verification.ok) return verification.principal;
    if (verification.reason === 'keys_unavailable')
      throw Problem.notReady('tokens cannot be verified at the moment', { cause: verification.detail });
    throw Problem.unauthenticated(verification.detail, 'Bearer error="invalid_token"');
  }
}

function nameOf(context: ExecutionContext): string {
  return `${context.getClass().name}.${context.getHandler().name}`;
}
