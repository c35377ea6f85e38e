// Shares between 0 and 1, which the API says as decimal strings.

/** `64 %`. */
export const percent = (share: string): string => `${Math.round(Number(share) * 100)} %`;
